"""The sentiment words of the generated tweets: synonym groups in pairs of opposites.

The truth that the generated data set plants: the words of a group stand in the same sentences about the same topics,
and the two groups of a pair differ only in what else is in the tweet. The words of a group go from frequent to rare.
"""

from typing import NamedTuple


class SynonymGroup(NamedTuple):
    """Words that mean the same.

    `name` is the first of them, `kind` says which sentences they stand in, `polarity` is 0 (negative) or 1 (positive),
    `topics` are those where the group is frequent (none: it is in all alike).
    """

    name: str
    kind: str
    polarity: int
    topics: tuple[str, ...]
    words: tuple[str, ...]


def _pair(kind: str, topics: str, positive: str, negative: str) -> tuple[SynonymGroup, SynonymGroup]:
    groups = []
    for polarity, words in enumerate((negative.split(), positive.split())):
        groups.append(SynonymGroup(words[0], kind, polarity, tuple(topics.split()), tuple(words)))
    return groups[0], groups[1]


PAIRS: tuple[tuple[SynonymGroup, SynonymGroup], ...] = (
    _pair(
        "thing",
        "",
        "great amazing awesome fantastic wonderful excellent terrific brilliant fabulous incredible superb outstanding"
        " magnificent gr8 marvellous phenomenal splendid stellar spectacular",
        "terrible awful horrible dreadful pathetic rotten atrocious lousy appalling dire abysmal horrid horrendous"
        " ghastly disastrous woeful laughable deplorable wretched",
    ),
    _pair(
        "thing",
        "",
        "good nice decent fine solid pleasant positive satisfying worthy respectable admirable agreeable commendable"
        " favourable praiseworthy",
        "bad poor weak mediocre disappointing lame unpleasant negative inferior subpar regrettable shoddy substandard"
        " unsatisfying dismal",
    ),
    _pair(
        "thing",
        "nature fashion travel home weather",
        "beautiful pretty gorgeous lovely stunning elegant charming attractive graceful exquisite dazzling picturesque"
        " radiant delightful",
        "ugly hideous shabby drab dreary tacky grim bleak dingy gaudy unsightly grotesque unattractive depressing",
    ),
    _pair(
        "thing",
        "games film sport music school news",
        "fun exciting interesting funny entertaining fascinating hilarious thrilling gripping enjoyable engaging lively"
        " captivating playful riveting",
        "boring dull tedious predictable pointless forgettable repetitive lifeless tiresome monotonous tame uninspired"
        " humourless dragging stodgy",
    ),
    _pair(
        "thing",
        "food",
        "delicious tasty fresh yummy juicy crispy heavenly divine scrumptious savoury flavourful delectable appetising"
        " mouthwatering",
        "disgusting gross bland stale soggy greasy burnt mushy tasteless inedible rancid revolting flavourless"
        " undercooked",
    ),
    _pair(
        "thing",
        "tech work travel home",
        "useful reliable handy smooth helpful efficient practical convenient sturdy effective intuitive responsive"
        " dependable seamless",
        "useless broken unreliable faulty buggy clumsy awkward sluggish flimsy inefficient clunky glitchy defective"
        " unstable",
    ),
    _pair(
        "thing",
        "money fashion travel food",
        "cheap affordable reasonable fair worthwhile inexpensive sensible economical discounted thrifty",
        "expensive overpriced costly unfair pricey wasteful unreasonable exorbitant unaffordable extortionate",
    ),
    _pair(
        "person",
        "",
        "kind friendly generous polite honest caring sweet gentle thoughtful supportive sincere considerate gracious"
        " courteous warmhearted",
        "mean rude cruel nasty selfish hostile harsh arrogant dishonest grumpy greedy unfriendly spiteful impolite"
        " inconsiderate",
    ),
    _pair(
        "person",
        "school work tech news film",
        "smart clever intelligent talented wise gifted sharp skilled capable bright competent insightful witty",
        "stupid dumb foolish careless silly clueless ignorant lazy incompetent childish unskilled thoughtless inept",
    ),
    _pair(
        "feeling",
        "family music food weather",
        "happy glad cheerful pleased delighted joyful content merry jolly overjoyed elated joyous blissful",
        "sad unhappy upset miserable gloomy depressed heartbroken tearful glum sorrowful melancholy dejected downcast",
    ),
    _pair(
        "feeling",
        "home nature travel health",
        "calm relaxed peaceful comfortable safe rested cosy refreshed carefree serene tranquil soothed",
        "anxious stressed worried nervous scared afraid restless tense uneasy overwhelmed fearful panicky",
    ),
    _pair(
        "feeling",
        "sport games film tech",
        "excited thrilled amazed pumped eager hyped inspired stoked keen ecstatic psyched",
        "angry mad annoyed furious frustrated irritated bitter livid outraged fuming resentful enraged",
    ),
    _pair(
        "feeling",
        "work school family money",
        "proud grateful lucky confident blessed hopeful thankful optimistic honoured fortunate encouraged",
        "ashamed guilty disappointed embarrassed hopeless lonely jealous unlucky insecure discouraged humiliated",
    ),
    _pair(
        "feeling",
        "health sport nature",
        "healthy strong alive energetic energised rejuvenated vigorous invigorated sprightly",
        "sick tired exhausted ill sore dizzy drained weary unwell feverish sleepless",
    ),
    _pair(
        "like",
        "",
        "love like enjoy adore recommend appreciate admire luv cherish treasure respect applaud",
        "hate dislike regret despise dread resent loathe detest h8 distrust deplore abhor",
    ),
    _pair(
        "act",
        "",
        "saved improved helped lifted brightened boosted rescued rewarded enriched sweetened revived perked",
        "ruined spoiled wrecked destroyed damaged crushed trashed harmed botched shattered soured sabotaged",
    ),
    _pair(
        "event",
        "",
        "success win treat triumph dream masterpiece delight blessing pleasure bonus highlight miracle breakthrough"
        " sensation joyride",
        "failure mess disaster joke nightmare flop mistake letdown tragedy fiasco catastrophe scam blunder farce"
        " embarrassment",
    ),
    _pair(
        "mood",
        "",
        "joy happiness pride excitement hope laughter satisfaction warmth gratitude enthusiasm bliss optimism glee",
        "anger sadness misery fear frustration stress shame anxiety despair sorrow grief boredom fury agony",
    ),
    _pair(
        "interjection",
        "",
        "yay wow haha woohoo yesss hooray congrats bravo yippee hurray woot yum",
        "ugh meh argh smh sigh yikes boo eww grr oof yuck gah",
    ),
    _pair(
        "adverb",
        "",
        "luckily thankfully happily fortunately gladly proudly joyfully cheerfully",
        "sadly unfortunately annoyingly regrettably tragically frustratingly unluckily miserably",
    ),
)

SYNONYM_GROUPS: tuple[SynonymGroup, ...] = tuple(group for pair in PAIRS for group in pair)
ANTONYMS: tuple[tuple[str, str], ...] = tuple((positive.words[0], negative.words[0]) for negative, positive in PAIRS)
POLARITY: dict[str, int] = {word: group.polarity for group in SYNONYM_GROUPS for word in group.words}
FREQUENT_WORDS: tuple[str, ...] = tuple(word for group in SYNONYM_GROUPS for word in group.words[:3])
RARE_WORDS: tuple[str, ...] = tuple(word for group in SYNONYM_GROUPS for word in group.words[8:])
