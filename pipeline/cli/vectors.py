"""`python -m pipeline vectors`: the word vectors of a run as a word2vec file, which gensim loads."""

import json
from pathlib import Path

from safetensors.numpy import load_file

from pipeline.cli.arguments import Parser, add_run, check_output, find_run
from pipeline.cli.exit_codes import DONE, command
from pipeline.config.schema import SPECIALS
from pipeline.prediction.export import is_export
from pipeline.prediction.trained_model import EMBEDDING, read_model
from pipeline.prediction.word2vec_file import without_blanks, write_word2vec
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
    check_output(options.to)
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
    path = json.dumps(str(options.to), ensure_ascii=False)
    load = f"KeyedVectors.load_word2vec_format({path}, binary={format == 'binary'})"
    print(f"load it: from gensim.models import KeyedVectors; vectors = {load}")
    return DONE
