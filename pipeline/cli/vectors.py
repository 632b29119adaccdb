"""`python -m pipeline vectors`: the word vectors of a run as a word2vec file, which gensim loads."""

import gzip
import os
import re
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from pipeline.cli.arguments import Parser, add_run, find_run
from pipeline.cli.exit_codes import DONE, command
from pipeline.config.schema import SPECIALS
from pipeline.prediction.export import is_export
from pipeline.prediction.trained_model import EMBEDDING, read_model
from pipeline.runtime.errors import UserError

ENDINGS = {".txt": "text", ".vec": "text", ".bin": "binary"}


@command
def main(arguments: list[str]) -> int:
    """Write the embedding matrix of a run, and print how to load the file."""
    parser = Parser(
        "vectors",
        "Write the word vectors of a run as a word2vec file, text or binary.",
        "Padding and the unknown word are left out. A blank within a word becomes _, as the format has no blanks.",
    )
    parser.add_argument(
        "--to", type=Path, required=True, metavar="FILE", help="file to write: .txt, .vec or .bin, gzipped with .gz"
    )
    parser.add_argument("--format", choices=("text", "binary"), help="default: binary for .bin, text for .txt and .vec")
    parser.add_argument("--initial", action="store_true", help="the vectors before training instead of after it")
    add_run(parser)
    options = parser.parse_args(arguments)
    format = options.format or ENDINGS.get(Path(options.to.name.removesuffix(".gz")).suffix)
    if format is None:
        raise UserError(f"--to {options.to}: expected a name that ends in {', '.join(ENDINGS)} (or add --format)")
    if options.to.is_dir() or not options.to.parent.is_dir():
        problem = "is a folder" if options.to.is_dir() else f"there is no folder {options.to.parent}"
        raise UserError(f"--to {options.to}: {problem}; expected a file in a folder that exists")
    folder = find_run(options.run, options.root, options.uri)
    if is_export(folder):
        raise UserError(f"--run {folder}: is an export, which holds no word vectors; give a run")
    trained = read_model(folder)
    matrix = trained.embedding_VE
    if options.initial:
        matrices = load_file(folder / EMBEDDING)
        if "initial" not in matrices:
            raise UserError(f"--run {folder}: holds the final vectors only; give the folder of the run in results/")
        matrix = matrices["initial"]
    words = trained.words[SPECIALS:]
    written = without_blanks(words)
    try:
        write_word2vec(options.to, written, matrix[SPECIALS:], binary=format == "binary")
    except OSError as error:
        raise UserError(f"--to {options.to}: cannot be written ({error.strerror})") from None
    changed = [(word, name) for word, name in zip(words, written, strict=True) if word != name]
    when = "before" if options.initial else "after"
    size = f"{len(words):,} words, {matrix.shape[1]} dimensions"
    print(f"wrote {options.to}: {size}, word2vec {format}, vectors {when} training of run {trained.name}")
    print("left out: padding (<pad>) and the unknown word (<unk>)")
    if changed:
        word, name = changed[0]
        print(f"words with blanks: {len(changed):,}, each blank written as _, such as {word!r} as {name!r}")
    load = f'KeyedVectors.load_word2vec_format("{options.to}", binary={format == "binary"})'
    print(f"load it: from gensim.models import KeyedVectors; vectors = {load}")
    return DONE


def write_word2vec(path: Path, words: Sequence[str], vectors: NDArray[np.float32], *, binary: bool) -> None:
    """Write one vector per word; gzipped where the file's name ends in `.gz`. A reader gets the same bits back.

    The file is written under a temporary name beside `path` and then renamed, so that `path` is whole or untouched.

    `words` are N distinct words without white space (see `without_blanks`), `vectors` (N, D) their rows; `binary` is
    little-endian float32 instead of decimal text. Raises OSError where the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    dim = vectors.shape[1]
    numbers = " ".join(["%.9g"] * dim)  # nine significant digits identify a float32
    try:
        with temporary.open("wb") as file:
            # Without name and time, so that equal contents give equal bytes.
            stream = gzip.GzipFile("", "wb", fileobj=file, mtime=0) if path.suffix == ".gz" else nullcontext(file)
            with stream as lines:
                lines.write(f"{len(words)} {dim}\n".encode())
                for word, vector in zip(words, vectors, strict=True):
                    values = vector.astype("<f4").tobytes() if binary else (numbers % tuple(vector.tolist())).encode()
                    lines.write(word.encode() + b" " + values + b"\n")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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
