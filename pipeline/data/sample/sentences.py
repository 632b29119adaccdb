"""Sentences of the generated tweets: random words in sentence templates, 10,000 rows at a time.

Every method draws one number per row from the block's `RandomStream`, so ten thousand tweets cost a few hundred array
operations. Only the raw bits of PCG64 are used, which NumPy keeps the same in all versions (NEP 19).
"""

import itertools
import re
from collections.abc import Mapping, Sequence
from string import Formatter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.sample import words as lists
from pipeline.data.sample.words import PAIRS, POLARITY, TOPICS

BLOCK = 10_000

Strings = NDArray[Any]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class RandomStream:
    """A random stream that yields one number per row of a block with each call."""

    def __init__(self, seed: int, *key: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key))

    def __call__(self) -> Floats:
        """Uniform numbers in [0, 1) with 32 bits."""
        return (np.asarray(self._bits.random_raw(BLOCK), dtype=np.uint64) >> np.uint64(32)) * np.float64(2.0**-32)

    def below(self, count: int | Ints) -> Ints:
        """Whole numbers from 0 to `count` − 1."""
        return (self() * count).astype(np.int64)


class WeightedTable:
    """Rows of weighted entries. One sorted array of cumulative weights serves all rows: a draw is a binary search."""

    def __init__(self, rows: Sequence[Sequence[Any]], weights: Sequence[Sequence[int]]) -> None:
        values = [entry for row in rows for entry in row]
        self.entries: NDArray[Any] = np.array(values, dtype=object if isinstance(values[0], str) else np.int64)
        self._edges: Floats = np.concatenate([k + np.cumsum(row) / sum(row) for k, row in enumerate(weights)])

    @classmethod
    def zipf(cls, rows: Sequence[Sequence[Any]], exponent: float) -> "WeightedTable":
        """Entry k of a row weighs k^−exponent, rounded to whole millionths so that platforms agree."""
        return cls(rows, [[round(1e6 / (k + 1) ** exponent) for k in range(len(row))] for row in rows])

    def shares(self, row: int = 0) -> Floats:
        """Probability of each entry of a row."""
        cumulative = self._edges[(self._edges > row) & (self._edges <= row + 1)] - row
        return np.diff(cumulative, prepend=0.0)

    def indices(self, uniform: Floats, row: Ints | int = 0) -> Ints:
        """Indices into `entries`, one per number of `uniform`."""
        return np.searchsorted(self._edges, row + uniform, side="right").astype(np.int64)

    def choose(self, uniform: Floats, row: Ints | int = 0) -> NDArray[Any]:
        """Entries, one per number of `uniform`."""
        return self.entries[self.indices(uniform, row)]


class Templates:
    """Sentence templates, parsed into literals and slots."""

    def __init__(self, templates: Sequence[str]) -> None:
        self._parsed = [[(literal, slot) for literal, slot, _, _ in Formatter().parse(text)] for text in templates]

    def __len__(self) -> int:
        return len(self._parsed)

    def fill(self, choice: Ints, slots: Mapping[str, Strings]) -> Strings:
        """Fill template `choice[i]` with the i-th entry of each slot; the empty string where the choice is −1."""
        texts = np.full(len(choice), "", dtype=object)
        for number, template in enumerate(self._parsed):
            rows = np.flatnonzero(choice == number)
            text = np.full(len(rows), "", dtype=object)
            for literal, slot in template:
                text = text + literal if literal else text
                text = text + slots[slot][rows] if slot is not None else text
            texts[rows] = text
        return texts


def text_where(condition: Bools, texts: Strings | str) -> Strings:
    """`texts` where the condition holds, else the empty string."""
    return np.where(condition, texts, "").astype(object)


def _misspelt(word: str, known_words: set[str]) -> str:
    """Misspell a word: swap two neighbouring letters or drop one, from the middle outwards.

    The first spelling that is not in `known_words` is taken, and added to them.
    """
    inner = sorted(range(1, len(word) - 1), key=lambda k: abs(2 * k - len(word) + 1))
    swaps = (word[:k] + word[k + 1] + word[k] + word[k + 2 :] for k in inner)
    drops = (word[:k] + word[k + 1 :] for k in inner)
    misspelling = next((spelling for spelling in itertools.chain(swaps, drops) if spelling not in known_words), word)
    known_words.add(misspelling)
    return misspelling


def _elongated(word: str) -> str:
    """The word with its last inner vowel four times, as in `amaziiiing`; the word itself where it has none."""
    vowel = max((k for k in range(1, len(word)) if word[k] in "aeiou"), default=None)
    return word if vowel is None else word[:vowel] + 3 * word[vowel] + word[vowel:]


_CLAUSE_PAIRS = [pair for pair in PAIRS if pair[0].kind in lists.TEMPLATES]  # the others stand at the front
# Row: topic. Pairs with topics of their own are rare elsewhere.
_pair_weights = [
    [6 if not group.topics else 10 if topic.name in group.topics else 1 for group, _ in _CLAUSE_PAIRS]
    for topic in TOPICS
]
_PAIR = WeightedTable([range(len(_CLAUSE_PAIRS))] * len(TOPICS), _pair_weights)
# Row: 2 · pair + polarity.
_SENTIMENT = WeightedTable.zipf([group.words for pair in _CLAUSE_PAIRS for group in pair], 1.2)
_ARTICLES = np.array(
    ["an " if re.match("(?!use)[aeiou]|hon", word) else "a " for word in _SENTIMENT.entries], dtype=object
)
_known_words = {*POLARITY, *(word for topic in TOPICS for words in topic.word_lists() for word in words)}
_MISSPELT = np.array([_misspelt(word, _known_words) for word in _SENTIMENT.entries], dtype=object)
_ELONGATED = np.array([_elongated(word) for word in _SENTIMENT.entries], dtype=object)

TOPIC = WeightedTable.zipf([range(len(TOPICS))], 0.3)
_theme_ends = list(itertools.accumulate(len(topic.themes) for topic in TOPICS))
_THEME = WeightedTable.zipf([range(e - len(t.themes), e) for e, t in zip(_theme_ends, TOPICS, strict=True)], 0.2)
NOUN = WeightedTable.zipf([theme for topic in TOPICS for theme in topic.themes], 0.6)  # row: theme
_PLACE, _PERSON, _VERB = (
    WeightedTable.zipf([getattr(topic, field) for topic in TOPICS], 0.6) for field in ("places", "people", "verbs")
)
_EVENT = WeightedTable.zipf([events for topic in TOPICS for events in topic.events], 0.5)  # row: 2 · topic + polarity
_DETERMINER = WeightedTable.zipf([lists.DETERMINERS], 0.8)
_TIME = WeightedTable.zipf([lists.TIMES], 0.5)
_INTENSIFIER = WeightedTable.zipf([[f"{word} " for word in lists.INTENSIFIERS]], 0.8)
_ADJECTIVE = WeightedTable.zipf([[f"{word} " for word in lists.ADJECTIVES]], 0.4)

_clause_list = [
    text for kinds in (lists.TEMPLATES, lists.NEGATED_TEMPLATES) for kind in kinds.values() for text in kind
]
_CLAUSES = Templates(_clause_list)
_NEUTRAL = Templates(lists.NEUTRAL_TEMPLATES)
_EVENTS = Templates(lists.EVENT_TEMPLATES)
_CONTRASTS = Templates(lists.CONTRAST_TEMPLATES)
_ADDITIONS = Templates(lists.ADDITION_TEMPLATES)


def _clause_table() -> WeightedTable:
    """Templates by pair: row 2 · pair + negated. Pairs of the same kind prefer different templates of that kind."""
    rows = []
    for number, (group, _) in enumerate(_CLAUSE_PAIRS):
        for templates in (lists.TEMPLATES[group.kind], lists.NEGATED_TEMPLATES[group.kind]):
            first = number % len(templates)
            rows.append([_clause_list.index(text) for text in templates[first:] + templates[:first]])
    return WeightedTable.zipf(rows, 0.6)


def _exclamations(polarity: int) -> list[str]:
    """Interjections and adverbs, each with its punctuation; both kinds from frequent to rare."""
    groups = [pair[polarity] for pair in PAIRS if pair not in _CLAUSE_PAIRS]
    endings = {"adverb": " ", "interjection": "! "}
    ranked = ((rank, word + endings[group.kind]) for group in groups for rank, word in enumerate(group.words))
    return [text for _, text in sorted(ranked)]


_CLAUSE = _clause_table()
# Row: polarity.
EXCLAMATION = WeightedTable.zipf([_exclamations(polarity) for polarity in (0, 1)], 1.0)
EMOJI = WeightedTable.zipf(lists.EMOJI, 1.1)
HASHTAG = WeightedTable.zipf(lists.HASHTAGS, 0.9)
HANDLE = WeightedTable.zipf(  # 3,840 handles, a few of them very frequent
    [[f"@{a}{b}{c}" for c in ("", *range(2, 9)) for b in lists.HANDLE_ENDINGS for a in lists.HANDLE_NAMES]], 0.8
)
ENDING = WeightedTable.zipf([lists.ENDINGS], 0.6)
_LINK_CHARACTERS = np.array(list("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"))


class SentenceGenerator:
    """Clauses and other texts for the rows of one block; every method draws new random numbers."""

    def __init__(self, random: RandomStream) -> None:
        self.random = random
        self.topics: Ints = TOPIC.choose(random())
        self.themes: Ints = _THEME.choose(random(), self.topics)

    def _slots(self) -> dict[str, Strings]:
        random = self.random
        return {
            "D": _DETERMINER.choose(random()),
            "T": _TIME.choose(random()),
            "N": text_where(random() < 0.15, _ADJECTIVE.choose(random())) + NOUN.choose(random(), self.themes),
            "M": NOUN.choose(random(), self.themes),
            "P": _PLACE.choose(random(), self.topics),
            "W": _PERSON.choose(random(), self.topics),
            "V": _VERB.choose(random(), self.topics),
        }

    def clause(self, meaning: Ints, negated: Bools) -> Strings:
        """A clause that means 0 (negative) or 1 (positive); where negated, with a word of the opposite polarity."""
        random = self.random
        pairs: Ints = _PAIR.choose(random(), self.topics)
        words = _SENTIMENT.indices(random(), 2 * pairs + (meaning ^ negated))
        spelling = random()
        sentiment = np.where(spelling < 0.02, _MISSPELT[words], _SENTIMENT.entries[words])
        sentiment = np.where(spelling > 0.97, _ELONGATED[words], sentiment)
        slots = self._slots()
        intensifier = text_where(random() < 0.35, _INTENSIFIER.choose(random()))
        slots |= {"I": intensifier, "S": sentiment, "A": _ARTICLES[words] + sentiment}
        return _CLAUSES.fill(_CLAUSE.choose(random(), 2 * pairs + negated), slots)

    def neutral_clause(self) -> Strings:
        """A clause without sentiment."""
        return _NEUTRAL.fill(self.random.below(len(_NEUTRAL)), self._slots())

    def event(self, polarity: Ints) -> Strings:
        """A phrase such as `after the spill`, about a good or a bad event of the topic."""
        slots = self._slots() | {"E": _EVENT.choose(self.random(), 2 * self.topics + polarity)}
        return _EVENTS.fill(self.random.below(len(_EVENTS)), slots)

    def two_clauses(self, other: Strings, deciding: Strings, contrast: Bools) -> Strings:
        """Two clauses in contrast (`… but …`), or in agreement (`… and …`)."""
        uniform, clauses = self.random(), {"0": other, "1": deciding}
        contrasts = np.where(contrast, (uniform * len(_CONTRASTS)).astype(np.int64), -1)
        additions = np.where(contrast, -1, (uniform * len(_ADDITIONS)).astype(np.int64))
        return np.asarray(_CONTRASTS.fill(contrasts, clauses) + _ADDITIONS.fill(additions, clauses))

    def link(self) -> Strings:
        """A short link that is never the same."""
        characters = np.stack([self.random.below(len(_LINK_CHARACTERS)) for _ in range(10)], axis=1)
        return "https://t.co/" + _LINK_CHARACTERS[characters].view("U10")[:, 0].astype(object)
