"""Vocabulary: words, ids and counts; id 0 is padding, 1 the unknown word, the others by falling count."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.config.schema import SPECIALS, UNK
from pipeline.runtime.errors import UserError
from pipeline.runtime.files import read_json, write_json

VOCABULARY = "vocabulary.json"
SPECIAL_WORDS = ("<pad>", "<unk>")

Tokenizer = Callable[[str], list[str]]


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Words in the order of their ids, with their counts in the training text.

    A token that is spelled `<pad>` or `<unk>` is an unknown word: `id_of` holds real words only.
    """

    words: list[str]  # (V,); the first two are the special entries
    counts: npt.NDArray[np.int64]  # (V,) in the training text; of UNK: all words outside the vocabulary; of PAD: 0
    types_dropped: int  # number of distinct words of the training text outside the vocabulary
    id_of: dict[str, int] = field(init=False, repr=False)  # of each real word, 2 … V-1

    def __post_init__(self) -> None:
        object.__setattr__(self, "id_of", {word: id for id, word in enumerate(self.words[SPECIALS:], SPECIALS)})

    @classmethod
    def from_counts(cls, counts: Mapping[str, int], min_count: int, required_words: Iterable[str] = ()) -> "Vocabulary":
        """Keep the words that occur `min_count` times or more: the most frequent first, ties by code point.

        `required_words` are kept whatever their count, with count 0 where the training text lacks them.
        """
        required = set(required_words)
        all_counts = dict.fromkeys(required, 0) | dict(counts)
        frequent = (word for word, count in all_counts.items() if count >= min_count or word in required)
        words = sorted({*frequent} - {*SPECIAL_WORDS}, key=lambda word: (-all_counts[word], word))
        word_counts = [all_counts[word] for word in words]
        unknown = sum(counts.values()) - sum(word_counts)
        types_dropped = len(all_counts) - len(words)
        return cls([*SPECIAL_WORDS, *words], np.array([0, unknown, *word_counts], np.int64), types_dropped)

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        """Read a file that `save` wrote; anything else is a UserError."""
        try:
            content = read_json(path)
            words, counts = content["words"], np.array(content["counts"], np.int64)
            types_dropped = int(content["types_dropped"])
            valid = tuple(words[:2]) == SPECIAL_WORDS and len(set(words)) == len(words) == len(counts)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UserError(f"{path}: cannot be read as a vocabulary ({type(error).__name__}: {error})") from error
        if not valid:
            expected = f"expected {', '.join(SPECIAL_WORDS)} and distinct words, each with a count"
            raise UserError(f"{path}: not a vocabulary; {expected}")
        return cls(words, counts, types_dropped)

    def save(self, path: Path) -> None:
        """Write the words, counts and number of dropped types as JSON."""
        write_json(path, {"words": self.words, "counts": self.counts.tolist(), "types_dropped": self.types_dropped})

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, tokens: Iterable[str]) -> list[int]:
        """Return the id of each token, UNK for tokens outside the vocabulary."""
        id_of = self.id_of.get
        return [id_of(token, UNK) for token in tokens]

    def summary(self) -> dict[str, int | float]:
        """Numbers of types kept and dropped and of training tokens, and the fraction of tokens in the vocabulary."""
        tokens = int(self.counts.sum())
        return {
            "types_kept": len(self.words) - len(SPECIAL_WORDS),
            "types_dropped": self.types_dropped,
            "tokens": tokens,
            "token_coverage": 1.0 - int(self.counts[UNK]) / tokens if tokens else 0.0,
        }
