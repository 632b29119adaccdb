"""The stage `look`: what a run would read, as a page and as JSON, before anything is trained."""

import shlex
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.config.schema import Config, data_name
from pipeline.runtime.cached_folder import Stage, ensure_folder
from pipeline.runtime.files import write_json
from pipeline.runtime.log import log
from pipeline.stages.audit import audit
from pipeline.stages.paths import root, short

COLUMNS = 100
ROWS = 5  # of the training split on the page
BARS, LONGEST = 10, 0.99  # of the histogram of lengths, which ends at this quantile
LARGE = 100_000  # training rows from which on the smaller study is proposed
QUANTILES = (0, 0.05, 0.5, 0.95, 1)


def look(config: Config, prepared: Stage, overrides: Sequence[str]) -> None:
    """Print what was read, the findings of the audit and the commands to go on with; write all to results/looks/."""
    from pipeline.prediction.explain.terminal import page_text, print_text

    audited = audit(config, prepared)
    report = {**audited.outcome, **facts(config, prepared), "commands": next_commands(config, prepared, overrides)}
    page = page_text(look_page(report), COLUMNS)

    def write(folder: Path) -> None:
        write_json(folder / "look.json", report)
        (folder / "look.txt").write_text(page, "utf-8")

    folder = root(config) / "results" / "looks" / f"{data_name(config.data)}-{prepared.key[:8]}"
    ensure_folder(folder, {"stage": "look", "prepare": prepared.key}, write, force=True)
    print_text(page)
    log.info("look: %s holds this page, %s its numbers", short(folder / "look.txt"), short(folder / "look.json"))


def facts(config: Config, prepared: Stage) -> dict[str, Any]:
    """What the audit does not report.

    `source`: what was read. `notes`: guesses about its layout, and rows left out. `examples`: training rows drawn by
    the seed. `lengths`: characters and tokens of the texts, as quantiles; `histogram`: training texts by tokens.
    `decoding_errors` of all texts. `similar_labels`: labels that differ in case, blanks or invisible characters alone.
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
        "similar_labels": similar_labels(names),
    }


def similar_labels(names: Sequence[str]) -> list[list[str]]:
    """Groups of labels that differ in case, blanks, compatibility forms or invisible characters alone."""
    groups: dict[str, list[str]] = {}
    for name in names:
        folded = unicodedata.normalize("NFKC", name).casefold()
        groups.setdefault("".join(c for c in folded if unicodedata.category(c)[0] not in "CZ"), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def next_commands(config: Config, prepared: Stage, overrides: Sequence[str]) -> dict[str, str]:
    """The command of a first run on these rows and, where there are validation rows, that of a comparison.

    A recipe of the command line stays, then there is one command.
    """
    rows = prepared.outcome["rows"]
    shared = [text for text in overrides if not text.startswith(("stage=", "force="))]
    settings = {text.partition("=")[0].lstrip("+") for text in shared}
    alone = ["train.patience=null"] if "validation" not in rows and config.train.patience is not None else []
    if "experiment" in settings:
        return {"run": shlex.join(["./scripts/run", *shared, *alone])}
    commands = {"run": ["+experiment=cbow_frozen", *shared, *alone]}
    if "validation" in rows:
        small = ["study=quick"] if rows["train"] >= LARGE and "study" not in settings else []
        commands["study"] = ["+experiment=compare", *small, *shared]
    return {name: shlex.join(["./scripts/run", *words]) for name, words in commands.items()}


def look_page(report: dict[str, Any]) -> str:
    """The report as a page in well-formed XML."""
    from pipeline.prediction.explain.printable import printable, token_label, truncated
    from pipeline.runtime.templates import render

    def visible(text: str) -> str:
        return truncated(text.translate({9: "\\t", 10: "\\n", 13: "\\r"}), 300)

    return render("pipeline.stages", "look.html.j2", **report, show=printable, label=token_label, visible=visible)
