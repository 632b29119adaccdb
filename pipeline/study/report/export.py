"""Tables as files: every frame of a study as CSV, the main tables as LaTeX (booktabs)."""

import csv
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path

import pandas as pd

from pipeline.study.report import tables
from pipeline.study.report.formatting import TEXTS, p_note
from pipeline.study.report.study_results import StudyResults

TABLES: dict[str, Callable[[StudyResults], tables.Rows]] = {
    "scores": tables.score_table,
    "ensembles": tables.ensemble_table,
    "differences": tables.difference_table,
    "probabilities": tables.probability_table,
    "factorial": tables.factorial_table,
    "crossover": tables.crossover_table,
    "transfer": tables.transfer_table,
    "probes": tables.probe_table,
}
# Styler's escape="latex" leaves <, >, | and all signs outside ASCII, and does not reach the caption.
LATEX_SIGNS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "−": "$-$", "±": r"$\pm$", "×": r"$\times$", "–": "--", "≤": r"$\leq$", "ρ": r"$\rho$",
    "\n": " ",
}  # fmt: skip


def write_tables(results: StudyResults, folder: Path, extra: Mapping[str, pd.DataFrame] | None = None) -> list[Path]:
    """Write every frame that has columns as CSV at full precision, and the main tables that have rows as LaTeX.

    The LaTeX files need the package booktabs. `extra` frames become CSV files, too; one with the name of a frame of
    `results` replaces it. Equal results give equal bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    frames = {field.name: getattr(results, field.name) for field in fields(results)}
    frames |= {"confusion": confusion_frame(results), **(extra or {})}
    for name, frame in frames.items():
        if isinstance(frame, pd.DataFrame) and len(frame.columns):
            paths.append(folder / f"{name}.csv")
            write_csv(frame, paths[-1])
    for name, build in TABLES.items():
        if rows := build(results):
            paths.append(folder / f"{name}.tex")
            paths[-1].write_text(latex_table(rows, table_caption(results, name), f"tab:{name}"), "utf-8")
    return paths


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame as CSV; all texts are quoted, as tweets hold line breaks of every kind."""
    frame.to_csv(path, index=False, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC, errors="replace")


def table_caption(results: StudyResults, name: str) -> str:
    """The caption with the metric's name, a note on p-values that cannot be small, and whether tweets are generated."""
    note = (p_note(results) if name == "differences" else None) or ""
    data = f"Data: {results.data['name']}{' (generated tweets)' if results.generated else ''}."
    caption = TEXTS["tables"][name].format(metric=results.design["metric_name"])
    return " ".join([caption, note, data]).replace("  ", " ")


def confusion_frame(results: StudyResults) -> pd.DataFrame:
    """The confusion matrices as rows of variant, true label, predicted label, tweets (mean over seeds)."""
    names = results.data["label_names"]
    rows = [
        (variant, true, predicted, count)
        for variant, matrix in results.confusion.items()
        for true, counts in zip(names, matrix, strict=True)
        for predicted, count in zip(names, counts, strict=True)
    ]
    return pd.DataFrame(rows, columns=["variant", "true", "predicted", "tweets"])


def latex_escape(text: object) -> str:
    """`text` such that LaTeX prints it as it is."""
    return "".join(LATEX_SIGNS.get(sign, sign) for sign in str(text))


def latex_table(rows: tables.Rows, caption: str, label: str) -> str:
    """A booktabs table of display strings; columns of numbers are right-aligned."""
    frame = pd.DataFrame(rows)
    sides = ["r" if all(cell[:1] in "+−[<>≤–0123456789" for cell in frame[name]) else "l" for name in frame]
    style = frame.style.hide(axis="index").format(latex_escape).format_index(latex_escape, axis="columns")
    layout, title = "".join(sides), latex_escape(caption)
    return style.to_latex(hrules=True, position_float="centering", column_format=layout, caption=title, label=label)
