"""The stage `look`: what a run would read, as a page and as JSON, before anything is trained."""

import shlex
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from pipeline.config.overrides import VARIANT_KEYS, key_of
from pipeline.config.schema import Config, DataConfig, data_name
from pipeline.runtime.cached_folder import Stage, ensure_folder
from pipeline.runtime.errors import UserError
from pipeline.runtime.files import write_json
from pipeline.runtime.log import log
from pipeline.runtime.paths import script
from pipeline.stages.audit import audit
from pipeline.stages.paths import root, short
from pipeline.stages.prepare import prepare

COLUMNS = 100
ROWS = 5  # of the training split, or of a file that cannot be read
ESCAPES = {ord(char): escape for char, escape in {"\t": "\\t", "\n": "\\n", "\r": "\\r"}.items()}
BARS, LONGEST = 10, 0.99  # of the histogram of lengths, which ends at this quantile
LARGE = 100_000  # training rows from which on the smaller study is proposed
QUANTILES = (0, 0.05, 0.5, 0.95, 1)


def look(config: Config, overrides: Sequence[str]) -> None:
    """Print what was read, the findings of the audit and the commands to go on with; write all to results/looks/.

    Where a file cannot be read as configured, its first lines are printed before the UserError.
    """
    from pipeline.evaluation.audit.findings import label_findings
    from pipeline.evaluation.audit.remedies import remedy
    from pipeline.prediction.explain.terminal import page_text, print_text

    try:
        prepared = prepare(config)
    except UserError:
        with suppress(UserError):
            print_text("".join(f"{line}\n" for line in first_lines(config.data)))
        raise
    audited = audit(config, prepared)
    findings = [
        finding | {"remedy": remedy(finding, audited.outcome, config)} for finding in audited.outcome["findings"]
    ]
    findings = [*label_findings(prepared.outcome["notes"]), *findings]
    report = {**audited.outcome, "findings": findings, **facts(config, prepared)}
    report["commands"] = next_commands(config, prepared, overrides)
    page = page_text(look_page(report), COLUMNS)

    def write(folder: Path) -> None:
        write_json(folder / "look.json", report)
        (folder / "look.txt").write_text(page, "utf-8")

    folder = root(config) / "results" / "looks" / f"{data_name(config.data)}-{prepared.key[:8]}"
    ensure_folder(folder, {"stage": "look", "prepare": prepared.key}, write, force=True)
    print_text(page)
    log.info("look: %s holds this page, %s its numbers", short(folder / "look.txt"), short(folder / "look.json"))


def first_lines(data: DataConfig) -> list[str]:
    """The first lines of the training file, with escapes, below a title; none where it is no text file."""
    from pipeline.data.local_files import data_path, split_files
    from pipeline.data.text_file import text_file
    from pipeline.prediction.explain.printable import truncated

    path = data_path(data) if data.source == "files" else None
    if path is not None and path.is_dir():
        path = split_files(path)["train"]
    if path is None or path.suffix == ".parquet":
        return []
    file = text_file(path, data.encoding)
    lines = [truncated(line.rstrip("\r\n").translate(ESCAPES), COLUMNS - 1) for line in islice(file.lines(), ROWS)]
    return [f"The first lines of {path.name}, read as {file.encoding}:", *lines]


def facts(config: Config, prepared: Stage) -> dict[str, Any]:
    """What the audit does not report.

    `source`: what was read. `notes`: guesses about its layout, and rows left out. `examples`: training rows drawn by
    the seed. `lengths`: characters and tokens of the texts, as quantiles; `histogram`: training texts by tokens.
    `decoding_errors` of all texts.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from pipeline.data.arrow import open_rows, read_texts
    from pipeline.text.decoding_errors import decoding_errors
    from pipeline.text.encoded_split import EncodedSplit

    data, names = config.data, prepared.outcome["label_names"]
    encoded = {split: EncodedSplit.open(prepared.folder, split) for split in prepared.outcome["rows"]}
    texts = {split: open_rows(prepared.folder / f"{split}.arrow")["text"] for split in encoded}
    train = len(encoded["train"])
    drawn = np.sort(np.random.default_rng(config.seed).choice(train, min(ROWS, train), replace=False))
    examples = zip(drawn.tolist(), texts["train"].take(pa.array(drawn)).to_pylist(), strict=True)
    lengths = {}
    for split, rows in encoded.items():
        sizes = {"characters": pc.utf8_length(texts[split]).to_numpy(), "tokens": np.diff(rows.offsets)}
        lengths[split] = {unit: np.quantile(values, QUANTILES).tolist() for unit, values in sizes.items()}
    tokens = np.diff(encoded["train"].offsets)
    step = max(1, int(np.ceil((np.quantile(tokens, LONGEST) + 1) / BARS)))
    counts = np.bincount(np.minimum(tokens // step, BARS), minlength=BARS + 1)
    columns = [f"column {data.text_column}", f"label {data.label_column}"] if data.source in ("files", "hub") else []
    return {
        "source": [text for text in (data.source, data.path, data.name, *columns) if text],
        "encoding": data.encoding,
        "notes": prepared.outcome["notes"],
        "generated": prepared.outcome["generated"],
        "vocabulary": prepared.outcome["vocabulary"],
        "examples": [
            {"row": row, "label": names[encoded["train"].labels[row]], "text": text} for row, text in examples
        ],
        "lengths": lengths,
        "histogram": {"step": step, "counts": counts.tolist()},
        "decoding_errors": decoding_errors(text for split in encoded for text in read_texts(prepared.folder, split)),
    }


def next_commands(config: Config, prepared: Stage, overrides: Sequence[str]) -> dict[str, str]:
    """The command of a first run on these rows and, where there are validation rows, that of a comparison.

    A recipe of the command line stays, then there is one command.
    """
    rows = prepared.outcome["rows"]
    shared = [text for text in overrides if key_of(text) not in ("stage", "force")]
    settings = set(map(key_of, shared))
    alone = ["train.patience=null"] if "validation" not in rows and config.train.patience is not None else []
    if "experiment" in settings:
        return {"run": f"{script('run')} {shlex.join([*shared, *alone])}"}
    commands = {"run": ["+experiment=cbow_frozen", *shared, *alone]}
    if "validation" in rows:
        small = ["study=quick"] if rows["train"] >= LARGE and "study" not in settings else []
        own = [text for text in shared if key_of(text) not in ("embedding", *VARIANT_KEYS)]
        commands["study"] = ["+experiment=compare", *small, *own]
    return {name: f"{script('run')} {shlex.join(words)}" for name, words in commands.items()}


def look_page(report: dict[str, Any]) -> str:
    """The report as a page in well-formed XML."""
    from pipeline.prediction.explain.printable import printable, token_label, truncated
    from pipeline.runtime.templates import render

    def visible(text: str, columns: int = 300) -> str:
        return truncated(text.translate(ESCAPES), columns)

    return render("pipeline.stages", "look.html.j2", **report, show=printable, label=token_label, visible=visible)
