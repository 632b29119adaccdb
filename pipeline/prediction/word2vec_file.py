"""Write word vectors as a word2vec text or binary file, which gensim, fastText and this project read."""

import gzip
import re
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.runtime.files import whole_file


def write_word2vec(path: Path, words: Sequence[str], vectors: NDArray[np.float32], *, binary: bool) -> None:
    """Write one vector per word; gzipped where the file's name ends in `.gz`. A reader gets the same bits back.

    `path` is whole or untouched. `words` are N distinct words without white space (see `without_blanks`), `vectors`
    (N, D) their rows; `binary` is little-endian float32 instead of decimal text. Raises OSError where the file cannot
    be written.
    """
    dim = vectors.shape[1]
    numbers = " ".join(["%.9g"] * dim)  # nine significant digits identify a float32
    with whole_file(path) as file:
        # Without name and time, so that equal contents give equal bytes.
        stream = gzip.GzipFile("", "wb", fileobj=file, mtime=0) if path.suffix == ".gz" else nullcontext(file)
        with stream as lines:
            lines.write(f"{len(words)} {dim}\n".encode())
            for word, vector in zip(words, vectors, strict=True):
                values = vector.astype("<f4").tobytes() if binary else (numbers % tuple(vector.tolist())).encode()
                lines.write(word.encode() + b" " + values + b"\n")


def without_blanks(words: Sequence[str]) -> list[str]:
    """The words with `_` in place of every white-space character, which the format uses to end a word.

    Where the result is a word already (`a b` beside `a_b`), further `_` are appended until it is distinct.
    """
    taken = {word for word in words if word and not re.search(r"\s", word)}
    names = []
    for word in words:
        name = word
        if word not in taken:
            name = re.sub(r"\s", "_", word) or "_"
            while name in taken:
                name += "_"
            taken.add(name)
        names.append(name)
    return names
