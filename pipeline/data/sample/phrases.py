"""How the generated tweets are put together: sentence frames and the small words around them.

A frame is literal text with slots: {S} sentiment word, {A} the same with its article, {N} and {M} nouns of the tweet's
theme, {P} place, {W} person, {V} verb, {D} determiner, {I} intensifier (empty or with a blank behind it), {T} time,
{E} event. Only the `NEGATED` frames hold a negator.
"""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FRAMES: dict[str, tuple[str, ...]] = {
    "thing": (
        "{D} {N} was {I}{S}",
        "{D} {N} is {I}{S}",
        "such {A} {N}",
        "{S} {N} at the {P}",
        "had {A} {N} {T}",
        "i found the {N} {I}{S}",
        "{D} {S} {N} with the {M}",
        "the {N} and the {M} were {I}{S}",
        "my {W} says the {N} is {I}{S}",
        "{N} looks {I}{S} {T}",
    ),
    "person": (
        "{D} {W} is {I}{S}",
        "{D} {W} was {I}{S} {T}",
        "such {A} {W} at the {P}",
        "met {A} {W} at the {P}",
        "the {W} with the {N} is {I}{S}",
        "u were {I}{S} about the {N}",
        "{A} {W} and {D} {N}",
    ),
    "feeling": (
        "i am {I}{S} about the {N}",
        "i'm {I}{S} {T}",
        "im {I}{S} after the {N}",
        "feeling {I}{S} at the {P}",
        "{D} {N} makes me {S}",
        "{D} {W} is {I}{S} about the {N}",
        "we are {I}{S} with {D} {N}",
        "going to {V} and feeling {S}",
    ),
    "like": (
        "i {S} {D} {N}",
        "we {S} the {N} at the {P}",
        "i really {S} how u {V}",
        "{S} {D} {N} {T}",
        "u will {S} the {N} and the {M}",
        "{D} {W} and i {S} the {N}",
    ),
    "act": (
        "{D} {N} {S} my day",
        "the {W} {S} {D} {N}",
        "{D} {N} {S} the whole trip to the {P}",
        "the {N} {S} {D} {M} {T}",
        "{D} {W} just {S} our plans",
    ),
    "event": (
        "{D} {N} was {A}",
        "what {A} at the {P}",
        "{D} {N} is a total {S}",
        "pure {S} with the {N}",
        "{T} at the {P} was {A}",
        "call {D} {N} {A}",
    ),
    "mood": (
        "so much {S} at the {P}",
        "the {N} is pure {S}",
        "full of {S} about the {N}",
        "{D} {N} gives me {S}",
        "{S} and the {N} {T}",
        "{D} {W} is full of {S}",
    ),
}
NEGATED: dict[str, tuple[str, ...]] = {
    "thing": (
        "{D} {N} was not {S}",
        "{D} {N} isn't {S} at all",
        "the {N} wasn't that {S}",
        "not {A} {N} {T}",
        "i never found the {N} {S}",
        "no {S} {N} at the {P}",
        "the {N} hardly looks {S}",
    ),
    "person": (
        "{D} {W} is not {S}",
        "{D} {W} wasn't {S} {T}",
        "never met {A} {W} at the {P}",
        "the {W} isn't exactly {S} about the {N}",
    ),
    "feeling": (
        "i am not {S} about the {N}",
        "i'm not that {S} {T}",
        "{D} {N} never makes me {S}",
        "not feeling {S} at the {P}",
        "don't feel {S} with {D} {N}",
        "{D} {W} isn't {S} about the {N}",
    ),
    "like": (
        "i don't {S} {D} {N}",
        "i cannot {S} the {N} at the {P}",
        "we never {S} {D} {N}",
        "u won't {S} the {N} {T}",
        "dont {S} how u {V}",
    ),
    "act": (
        "{D} {N} hasn't {S} my day",
        "the {W} never {S} {D} {N}",
        "{D} {N} has not {S} anything {T}",
    ),
    "event": (
        "{D} {N} was not {A}",
        "hardly {A} at the {P}",
        "{D} {N} is no {S}",
        "never call {D} {N} {A}",
    ),
    "mood": (
        "no {S} at the {P} {T}",
        "the {N} isn't giving me {S}",
        "without any {S} about the {N}",
        "{D} {W} never shows {S}",
    ),
}
NEGATORS = frozenset(_words("not isn't wasn't never no hardly don't dont cannot won't hasn't without"))
FILLERS = (
    "at the {P} with my {W}",
    "time to {V}",
    "trying to {V} with {D} {N}",
    "{N} and {M} {T}",
    "on my way to the {P}",
    "just saw {D} {N}",
    "back to the {N} {T}",
    "{D} {W} wants to {V} {T}",
    "about to {V} at the {P}",
    "got {D} {N} and {D} {M}",
    "the {P} has {N} {T}",
    "r u going to {V}",
    "{D} {W} and the {N}",
    "thinking about {N} or {M}",
    "looking for {D} {N} plz",
    "from the {N} to the {M}",
)
EVENT_TAILS = (
    "after the {E}",
    "before the {E}",
    "bc of the {E}",
    "with {D} {E} {T}",
    "since the {E} at the {P}",
    "and then the {E}",
)
# {0} is the clause that yields, {1} the clause that decides.
CONTRASTS = ("{0} but {1}", "{0}, but {1}", "although {0}, {1}", "{1} even though {0}", "{0}. yet {1}")
ADDITIONS = ("{0} and {1}", "{0} &amp; {1}", "{0}. {1}", "{0}! {1}", "{0}, {1}", "{0} bc {1}", "{0} so {1}")
DETERMINERS = _words("the this my our that your ur his her")
INTENSIFIERS = _words("so really very super totally sooo absolutely kinda quite rly truly soooo v extremely")
TIMES = (
    "today",
    "tonight",
    "again",
    "this morning",
    "last night",
    "yesterday",
    "2day",
    "rn",
    "this week",
    "2nite",
    "on monday",
    "on friday",
    "tmrw",
    "this weekend",
    "in august",
    "for an hour",
)
ADJECTIVES = _words(
    "new old big small little long short large modern huge tiny heavy quick fast wide narrow ancient recent normal"
    " strange weird odd different early late"
)
ENDINGS = (".", "", "!", "...", "!!", " lol", "?!", " tbh", " omg", " u know")
EMOJI = (
    (":(", "😢", "😡", ":-(", "😭", "💔", ":/", "😞", "👎", "😩", ":'(", "😠", "🙄", "😤", "D:", "😒", "🤢", "😱"),
    (":)", "😀", "😍", ":-)", "😂", "❤", ":D", "😊", "👍", "🎉", "&lt;3", "😁", "🙌", "😎", ";)", "🔥", "🥰", "✨"),
)
HASHTAGS = (
    _words("fail angry notcool worstday mood annoyed sadness badluck overit letdown mondays grumpy disaster tired"),
    _words("blessed happy winning bestday love goodvibes grateful yay lucky smile proud fun loveit thankyou amazing"),
)
HANDLE_NAMES = _words(
    "alex sam chris jordan taylor morgan jamie casey riley robin max leo mia emma noah lucy ben kate tom anna dan nina"
    " paul sara mike lisa john mary dave julia"
)
HANDLE_ENDINGS = ("", *_words("_ x 1 99 _uk tv music 2000 fan _b news 07 k _official s"))
