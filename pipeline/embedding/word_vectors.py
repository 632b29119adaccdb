"""Word vectors and their two files: the matrix as safetensors; words, counts and provenance as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from pipeline.runtime.errors import UserError
from pipeline.runtime.files import read_json, write_json

MATRIX_FILE = "vectors.safetensors"
WORDS_FILE = "vectors.json"


@dataclass(frozen=True, eq=False)
class Vectors:
    """One vector per word."""

    words: list[str]  # N distinct words
    counts: NDArray[np.int64]  # (N,) count of each word in the corpus of the vectors; 0 where it is unknown
    vectors: NDArray[np.float32]  # (N, D) one row per word
    info: dict[str, Any]  # how the vectors were made; any JSON object

    @property
    def dim(self) -> int:
        """Number of dimensions D."""
        return int(self.vectors.shape[1])

    @cached_property
    def index(self) -> Mapping[str, int]:
        """The row of each word."""
        return {word: row for row, word in enumerate(self.words)}

    def save(self, folder: Path) -> None:
        """Write `vectors.safetensors` and `vectors.json` into an existing `folder`."""
        save_file({"vectors": np.ascontiguousarray(self.vectors)}, folder / MATRIX_FILE)
        write_json(folder / WORDS_FILE, {"words": self.words, "counts": self.counts.tolist(), "info": self.info})

    @classmethod
    def load(cls, folder: Path) -> "Vectors":
        """Read what `save` wrote.

        Raises UserError with the name of the file, where one is missing or damaged, or where the two do not match.
        """
        matrix_file, words_file = folder / MATRIX_FILE, folder / WORDS_FILE
        for path in (matrix_file, words_file):
            if not path.is_file():
                raise UserError(f"{path}: no such file; a folder of word vectors has {MATRIX_FILE} and {WORDS_FILE}")
        try:
            vectors = load_file(matrix_file)["vectors"]
        except (SafetensorError, KeyError) as error:
            raise UserError(f"{matrix_file}: not a safetensors file with a tensor 'vectors' ({error})") from error
        if vectors.ndim != 2 or vectors.dtype != np.float32:
            problem = f"'vectors' is {vectors.dtype} of shape {vectors.shape}"
            raise UserError(f"{matrix_file}: {problem}, expected float32 (words, dim)")
        try:
            content = read_json(words_file)
            words, info = list(content["words"]), dict(content["info"])
            counts = np.array(content["counts"], dtype=np.int64)
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{words_file}: not JSON with words, counts and info ({error})") from error
        if not len(words) == len(counts) == len(vectors):
            problem = f"{len(words)} words and {len(counts)} counts"
            raise UserError(f"{words_file}: {problem}, but {matrix_file} has {len(vectors)} rows")
        if len(set(words)) != len(words):
            raise UserError(f"{words_file}: {len(words) - len(set(words))} of {len(words)} words are repeated")
        return cls(words, counts, vectors, info)
