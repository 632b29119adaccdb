"""Words and their ids: 0 pads, 1 stands for every word the vocabulary lacks, the others go by falling count."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.config.schema import SPECIALS, UNK
from pipeline.runtime.errors import UserError
from pipeline.runtime.files import read_json, write_json

VOCABULARY = "vocabulary.json"
SPECIAL = ("<pad>", "<unk>")


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Words in id order, with how often each stands in the training text.

    A token that happens to be spelled `<pad>` or `<unk>` is an unknown word: `id_of` knows real words only.

    Attributes
    ----------
    words : shape (V,); `words[0]` and `words[1]` are the special entries.
    counts : int64, shape (V,); `counts[UNK]` is the number of running training tokens left out, `counts[PAD]` is 0.
    types_dropped : distinct training tokens left out.
    id_of : from each real word to its id, 2 … V-1.
    """

    words: list[str]
    counts: npt.NDArray[np.int64]
    types_dropped: int
    id_of: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        first = SPECIALS
        object.__setattr__(self, "id_of", {word: id for id, word in enumerate(self.words[first:], first)})

    @classmethod
    def from_counts(cls, counts: Mapping[str, int], min_count: int, also: Iterable[str] = ()) -> "Vocabulary":
        """Keep the words that occur `min_count` times or more: the most frequent first, equal ones by code point.

        The words `also` are kept however often they occur, with count 0 where the training text lacks them.
        """
        wanted = set(also)
        found = dict.fromkeys(wanted, 0) | dict(counts)
        kept = [word for word, n in found.items() if (n >= min_count or word in wanted) and word not in SPECIAL]
        kept.sort(key=lambda word: (-found[word], word))
        numbers = [found[word] for word in kept]
        left_out = sum(counts.values()) - sum(numbers)
        return cls([*SPECIAL, *kept], np.array([0, left_out, *numbers], np.int64), len(found) - len(kept))

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        """Read a file that `save` wrote; anything else is a UserError."""
        try:
            stored = read_json(path)
            words, counts, dropped = stored["words"], np.array(stored["counts"], np.int64), int(stored["types_dropped"])
            whole = tuple(words[:2]) == SPECIAL and len(set(words)) == len(words) == len(counts)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UserError(f"{path}: cannot be read as a vocabulary ({type(error).__name__}: {error})") from error
        if not whole:
            raise UserError(
                f"{path}: not a vocabulary; expected {SPECIAL[0]}, {SPECIAL[1]} and distinct words, each counted"
            )
        return cls(words, counts, dropped)

    def save(self, path: Path) -> None:
        """Write the words, counts and number of dropped types as JSON."""
        write_json(path, {"words": self.words, "counts": self.counts.tolist(), "types_dropped": self.types_dropped})

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, tokens: Iterable[str]) -> list[int]:
        """Return the id of each token, UNK where it is no word of the vocabulary."""
        id_of = self.id_of.get
        return [id_of(token, UNK) for token in tokens]

    def summary(self) -> dict[str, int | float]:
        """Count types kept and dropped and running training tokens, and give the fraction of these that are kept."""
        tokens = int(self.counts.sum())
        return {
            "types_kept": len(self.words) - len(SPECIAL),
            "types_dropped": self.types_dropped,
            "tokens": tokens,
            "token_coverage": 1.0 - int(self.counts[UNK]) / tokens if tokens else 0.0,
        }
