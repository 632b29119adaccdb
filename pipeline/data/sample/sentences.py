"""Wording of the generated tweets: weighted draws from the word lists and sentences filled for a whole block at once.

Every function takes the block's `Draws` and gives one entry per row, so ten thousand tweets cost a few hundred array
operations. Only the raw bits of PCG64 are used, which NumPy keeps the same in all versions (NEP 19).
"""

import itertools
import re
from collections.abc import Mapping, Sequence
from string import Formatter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.sample import phrases
from pipeline.data.sample.lexicon import PAIRS, POLARITY
from pipeline.data.sample.topics import TOPICS

BLOCK = 10_000

Strings = NDArray[Any]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Draws:
    """A random stream: each call gives one number per row of a block."""

    def __init__(self, seed: int, *key: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key))

    def __call__(self) -> Floats:
        """Uniform numbers in [0, 1) with 32 bits."""
        return (np.asarray(self._bits.random_raw(BLOCK), dtype=np.uint64) >> np.uint64(32)) * np.float64(2.0**-32)

    def below(self, count: int | Ints) -> Ints:
        """Whole numbers from 0 to `count` − 1."""
        return (self() * count).astype(np.int64)


class Table:
    """Rows of weighted entries; one sorted array serves all rows, so a draw is one binary search."""

    def __init__(self, rows: Sequence[Sequence[Any]], weights: Sequence[Sequence[int]]) -> None:
        values = [entry for row in rows for entry in row]
        self.entries: NDArray[Any] = np.array(values, dtype=object if isinstance(values[0], str) else np.int64)
        self._edges: Floats = np.concatenate([k + np.cumsum(row) / sum(row) for k, row in enumerate(weights)])

    @classmethod
    def zipf(cls, rows: Sequence[Sequence[Any]], exponent: float) -> "Table":
        """Entry k of a row weighs k^−exponent, rounded to whole millionths so that platforms agree."""
        return cls(rows, [[round(1e6 / (k + 1) ** exponent) for k in range(len(row))] for row in rows])

    def shares(self, row: int = 0) -> Floats:
        """Probability of each entry of a row."""
        inside = self._edges[(self._edges > row) & (self._edges <= row + 1)] - row
        return np.diff(inside, prepend=0.0)

    def draw(self, uniform: Floats, row: Ints | int = 0) -> Ints:
        """Positions in `entries`, one per number of `uniform`."""
        return np.searchsorted(self._edges, row + uniform, side="right").astype(np.int64)

    def pick(self, uniform: Floats, row: Ints | int = 0) -> NDArray[Any]:
        """Entries, one per number of `uniform`."""
        return self.entries[self.draw(uniform, row)]


class Frames:
    """Sentence frames cut at their slots."""

    def __init__(self, frames: Sequence[str]) -> None:
        self._parts = [[(literal, slot) for literal, slot, _, _ in Formatter().parse(frame)] for frame in frames]

    def __len__(self) -> int:
        return len(self._parts)

    def fill(self, choice: Ints, slots: Mapping[str, Strings]) -> Strings:
        """Frame `choice[i]` with the i-th entry of each of its slots; the empty string where the choice is −1."""
        texts = np.full(len(choice), "", dtype=object)
        for number, parts in enumerate(self._parts):
            rows = np.flatnonzero(choice == number)
            text = np.full(len(rows), "", dtype=object)
            for literal, slot in parts:
                text = text + literal if literal else text
                text = text + slots[slot][rows] if slot is not None else text
            texts[rows] = text
        return texts


def only(condition: Bools, texts: Strings | str) -> Strings:
    """`texts` where the condition holds, else the empty string."""
    return np.where(condition, texts, "").astype(object)


def _misspelt(word: str, taken: set[str]) -> str:
    """The first free spelling with two neighbouring letters swapped or one dropped, from the middle outwards."""
    inner = sorted(range(1, len(word) - 1), key=lambda k: abs(2 * k - len(word) + 1))
    swaps = (word[:k] + word[k + 1] + word[k] + word[k + 2 :] for k in inner)
    drops = (word[:k] + word[k + 1 :] for k in inner)
    new = next((spelling for spelling in itertools.chain(swaps, drops) if spelling not in taken), word)
    taken.add(new)
    return new


def _elongated(word: str) -> str:
    """The word with its last inner vowel four times, as in `amaziiiing`; the word itself where it has none."""
    at = max((k for k in range(1, len(word)) if word[k] in "aeiou"), default=None)
    return word if at is None else word[:at] + 3 * word[at] + word[at:]


_PAIRS = [pair for pair in PAIRS if pair[0].kind in phrases.FRAMES]
# Row: topic. Pairs with topics of their own are rare elsewhere.
_PAIR = Table(
    [range(len(_PAIRS))] * len(TOPICS),
    [[6 if not p.topics else 10 if topic.name in p.topics else 1 for p, _ in _PAIRS] for topic in TOPICS],
)
_SENTIMENT = Table.zipf([group.words for pair in _PAIRS for group in pair], 1.2)  # row: 2 · pair + polarity
_ARTICLES = np.array(
    ["an " if re.match("(?!use)[aeiou]|hon", word) else "a " for word in _SENTIMENT.entries], dtype=object
)
_taken = set(POLARITY).union(*(words for t in TOPICS for words in (*t.themes, t.places, t.people, t.verbs, *t.events)))
_MISSPELT = np.array([_misspelt(word, _taken) for word in _SENTIMENT.entries], dtype=object)
_ELONGATED = np.array([_elongated(word) for word in _SENTIMENT.entries], dtype=object)
SPELLINGS: dict[str, str] = {
    spelling: word
    for words in (_MISSPELT, _ELONGATED)
    for spelling, word in zip(words, _SENTIMENT.entries, strict=True)
}

TOPIC = Table.zipf([range(len(TOPICS))], 0.3)
_THEME_ENDS = list(itertools.accumulate(len(topic.themes) for topic in TOPICS))
_THEME = Table.zipf([range(e - len(t.themes), e) for e, t in zip(_THEME_ENDS, TOPICS, strict=True)], 0.2)
_NOUN = Table.zipf([theme for topic in TOPICS for theme in topic.themes], 0.6)  # row: theme
_PLACE = Table.zipf([topic.places for topic in TOPICS], 0.6)
_PERSON = Table.zipf([topic.people for topic in TOPICS], 0.6)
_VERB = Table.zipf([topic.verbs for topic in TOPICS], 0.6)
_EVENT = Table.zipf([events for topic in TOPICS for events in topic.events], 0.5)  # row: 2 · topic + polarity
_DETERMINER = Table.zipf([phrases.DETERMINERS], 0.8)
_TIME = Table.zipf([phrases.TIMES], 0.5)
_INTENSIFIER = Table.zipf([[f"{word} " for word in phrases.INTENSIFIERS]], 0.8)
_ADJECTIVE = Table.zipf([[f"{word} " for word in phrases.ADJECTIVES]], 0.4)

_FRAME_LIST = [frame for frames in (phrases.FRAMES, phrases.NEGATED) for group in frames.values() for frame in group]
_FRAMES = Frames(_FRAME_LIST)
_FILLERS = Frames(phrases.FILLERS)
_TAILS = Frames(phrases.EVENT_TAILS)
_CONTRASTS = Frames(phrases.CONTRASTS)
_ADDITIONS = Frames(phrases.ADDITIONS)


def _frame_table() -> Table:
    """Row: 2 · pair + negated. Pairs of the same kind prefer different frames of that kind."""
    rows = []
    for number, (group, _) in enumerate(_PAIRS):
        for frames in (phrases.FRAMES[group.kind], phrases.NEGATED[group.kind]):
            first = number % len(frames)
            rows.append([_FRAME_LIST.index(frame) for frame in frames[first:] + frames[:first]])
    return Table.zipf(rows, 0.6)


def _exclamations(polarity: int) -> list[str]:
    """Interjections and adverbs, each with what follows it; both kinds from frequent to rare."""
    ranked = []
    for pair in PAIRS:
        if pair not in _PAIRS:
            follows = " " if pair[0].kind == "adverb" else "! "
            ranked += [(rank, word + follows) for rank, word in enumerate(pair[polarity].words)]
    return [text for _, text in sorted(ranked)]


_FRAME = _frame_table()
# Row: polarity.
_EXCLAMATION = Table.zipf([_exclamations(polarity) for polarity in (0, 1)], 1.0)
_EMOJI = Table.zipf(phrases.EMOJI, 1.1)
_HASHTAG = Table.zipf(phrases.HASHTAGS, 0.9)
_HANDLE = Table.zipf(
    [[f"@{a}{b}{c}" for c in ("", *range(2, 9)) for b in phrases.HANDLE_ENDINGS for a in phrases.HANDLE_NAMES]], 0.8
)
_ENDING = Table.zipf([phrases.ENDINGS], 0.6)
_LINK_CHARACTERS = np.array(list("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"))


class Wording:
    """What the tweets of one block are worded with; every method draws anew."""

    def __init__(self, draw: Draws) -> None:
        self.draw = draw
        self.topics: Ints = TOPIC.pick(draw())
        self.themes: Ints = _THEME.pick(draw(), self.topics)

    def _slots(self) -> dict[str, Strings]:
        draw = self.draw
        return {
            "D": _DETERMINER.pick(draw()),
            "T": _TIME.pick(draw()),
            "N": only(draw() < 0.15, _ADJECTIVE.pick(draw())) + _NOUN.pick(draw(), self.themes),
            "M": _NOUN.pick(draw(), self.themes),
            "P": _PLACE.pick(draw(), self.topics),
            "W": _PERSON.pick(draw(), self.topics),
            "V": _VERB.pick(draw(), self.topics),
        }

    def clause(self, meaning: Ints, negated: Bools) -> Strings:
        """A clause that means 0 (negative) or 1 (positive); where negated, with a word of the opposite polarity."""
        draw = self.draw
        pairs: Ints = _PAIR.pick(draw(), self.topics)
        words = _SENTIMENT.draw(draw(), 2 * pairs + (meaning ^ negated))
        spelling = draw()
        sentiment = np.where(spelling < 0.02, _MISSPELT[words], _SENTIMENT.entries[words])
        sentiment = np.where(spelling > 0.97, _ELONGATED[words], sentiment)
        slots = self._slots()
        slots |= {
            "I": only(draw() < 0.35, _INTENSIFIER.pick(draw())),
            "S": sentiment,
            "A": _ARTICLES[words] + sentiment,
        }
        return _FRAMES.fill(_FRAME.pick(draw(), 2 * pairs + negated), slots)

    def filler(self) -> Strings:
        """A clause without sentiment."""
        return _FILLERS.fill(self.draw.below(len(_FILLERS)), self._slots())

    def event(self, polarity: Ints) -> Strings:
        """A tail such as `after the spill`, about a good or a bad event of the topic."""
        slots = self._slots() | {"E": _EVENT.pick(self.draw(), 2 * self.topics + polarity)}
        return _TAILS.fill(self.draw.below(len(_TAILS)), slots)

    def joined(self, yielding: Strings, deciding: Strings, contrast: Bools) -> Strings:
        """Two clauses in contrast (`… but …`), or in agreement (`… and …`)."""
        uniform, clauses = self.draw(), {"0": yielding, "1": deciding}
        frames = ((contrast, _CONTRASTS), (~contrast, _ADDITIONS))
        choices = [np.where(rows, (uniform * len(kind)).astype(np.int64), -1) for rows, kind in frames]
        texts = [kind.fill(choice, clauses) for choice, (_, kind) in zip(choices, frames, strict=True)]
        return texts[0] + texts[1]

    def exclamation(self, polarity: Ints) -> Strings:
        """An interjection or adverb for the front, with what follows it."""
        return _EXCLAMATION.pick(self.draw(), polarity)

    def emoji(self, polarity: Ints) -> Strings:
        """An emoji or emoticon."""
        return _EMOJI.pick(self.draw(), polarity)

    def hashtag(self, polarity: Ints) -> Strings:
        """A hashtag of sentiment."""
        return "#" + _HASHTAG.pick(self.draw(), polarity)

    def topic_hashtag(self) -> Strings:
        """A hashtag of the theme."""
        return "#" + _NOUN.pick(self.draw(), self.themes)

    def ending(self) -> Strings:
        """Punctuation or a last word without meaning."""
        return _ENDING.pick(self.draw())

    def handle(self) -> Strings:
        """One of 3,840 handles, a few of them very frequent."""
        return _HANDLE.pick(self.draw())

    def link(self) -> Strings:
        """A short link that is never the same."""
        characters = np.stack([self.draw.below(len(_LINK_CHARACTERS)) for _ in range(10)], axis=1)
        return "https://t.co/" + _LINK_CHARACTERS[characters].view("U10")[:, 0].astype(object)
