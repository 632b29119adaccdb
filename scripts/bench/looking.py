"""Looking at a file before anything is trained: `stage=look` on a CSV of 100,000 labelled texts.

Both sides read the same file in a process of their own, from its start. pandas reads it, counts labels, describes
lengths and counts repeated texts. The project checks every row, tokenizes all texts, finds duplicates and near
duplicates within and across splits, and tokens that determine the label.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from measure import Figure, Scale, versus
from startup import said
from tweets import labelled

PANDAS = """
import sys, pandas
table = pandas.read_csv(sys.argv[1])
print(table["label"].value_counts(), table["text"].str.len().describe(), table.duplicated("text").sum())
"""


def figures(scale: Scale) -> Iterator[Figure]:
    """Seconds to the printed page, nothing cached, beside a look by pandas."""
    rows = 2_000 if scale.quick else 100_000
    path = scale.folder / "texts.csv"
    note = write_csv(scale, rows, path)
    folders = iter(range(100))

    def look() -> float:
        root = scale.folder / f"root-{next(folders)}"
        return said(["stage=look", "data=files", f"data.path={path}", f"paths.root={root}"])[""]

    yield versus(
        "Looking", f"a CSV of {rows:,} labelled texts, stage=look", "seconds", look,
        "pandas: read_csv, value_counts, describe, duplicated", lambda: look_by_pandas(path),
        rounds=1 if scale.quick else 3, target="< 10 seconds", note=f"{note}; {scale.cores} cores; nothing cached",
    )  # fmt: skip


def write_csv(scale: Scale, rows: int, path: Path) -> str:
    """Write a CSV with the columns text and label; returns a note of its source."""
    if scale.data is not None:
        table = pd.read_parquet(scale.data / "hub/sentiment140_100k/train-00000-of-00001.parquet").head(rows)
        note = "Sentiment140"
    else:
        texts, labels, note = labelled(scale, rows)
        table = pd.DataFrame({"text": texts, "label": labels})
    table.to_csv(path, columns=["text", "label"], index=False)
    return note


def look_by_pandas(path: Path) -> float:
    """Wall time of a process that prints label counts, lengths and the number of repeated texts."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", PANDAS, str(path)], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began
