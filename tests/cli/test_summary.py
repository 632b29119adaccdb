"""The table of finished runs: what is a repetition, what is a column, and the interval."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from pipeline.cli.summary import main, score_text, summary_table
from pipeline.tracking.run_record import StoredRun

BASE = StoredRun(
    header={
        "tags": {"data": "sample", "variant": "cbow_frozen", "label_budget": "all", "seed": "0", "generated": "true"},
        "dataset": {"labelled_used": 8000, "fingerprint": "f00d"},
    },
    config={"data": {"source": "sample", "path": None}, "text": {"emoticons": "keep"}, "seed": 0, "cbow": {"seed": 0}},
    metrics={"test/accuracy": 0.5, "test/macro_recall": 0.4, "params/trainable": 1234},
    timings={},
    history=[],
    neighbours=[],
    note="",
)


def run(
    seed: int = 0, accuracy: float = 0.5, emoticons: str = "keep", data: str = "sample", epochs: int = 20, **tags: str
) -> StoredRun:
    header = {**BASE.header, "tags": BASE.header["tags"] | {"seed": str(seed), "data": data} | tags}
    cbow = {"seed": seed, "extra_text": None, "epochs": epochs}
    init = "cbow" if "cbow" in header["tags"]["variant"] else "random"
    embedding = {"init": init, "dim": 8, "scale": None, "path": None}
    config = BASE.config | {"seed": seed, "cbow": cbow, "text": {"emoticons": emoticons}, "embedding": embedding}
    config |= {"data": {"source": data, "path": f"/somewhere/{seed}"}}
    return dataclasses.replace(BASE, header=header, config=config, metrics=BASE.metrics | {"test/accuracy": accuracy})


def cells(table: str) -> list[list[str]]:
    return [line.strip("| ").split(" | ") for line in table.splitlines()]


def test_interval_equals_scipys():
    values = [0.71, 0.74, 0.72, 0.79, 0.70]
    low, high = stats.t.interval(0.95, 4, loc=np.mean(values), scale=stats.sem(values))
    assert score_text(values) == f"{(low + high) / 2:.4f} ± {(high - low) / 2:.4f}"
    assert score_text([0.7]) == "0.7000"
    assert score_text([]) == "-"


def test_seeds_are_taken_together_and_the_newest_of_equal_runs_counts():
    header, _, row = cells(summary_table([run(0, 0.1), run(0, 0.6), run(1, 0.8)]))
    assert header[:4] == ["data", "labels", "variant", "seeds"]
    assert header[4:] == ["test/accuracy", "test/macro_recall", "trainable parameters"]
    half = stats.t.ppf(0.975, 1) * 0.1
    assert row[:5] == ["sample (generated)", "8,000", "CBOW, frozen", "2", f"0.7000 ± {half:.4f}"]
    assert row[-1] == "1,234"


def test_warnings_of_runs_are_the_last_column_where_there_are_any():
    warned = run(1, 0.8)
    warned.header["warnings"] = [{"code": "label_leak", "text": "", "remedy": ""}] * 2
    lines = summary_table([run(0), warned, run(data="other")]).splitlines()
    assert lines[0].endswith("| trainable parameters | warnings |")
    endings = {line.split(" | ")[0]: line.split(" | ")[-2:] for line in lines[2:]}
    assert endings["| sample (generated)"] == ["1,234", "label_leak |"]
    assert endings["| other (generated)"] == ["1,234", " |"]


def test_a_key_that_differs_within_a_data_set_is_a_column():
    table = cells(summary_table([run(emoticons="strip"), run(), run(data="other", generated="false")]))
    assert table[0][:2] == ["data", "text.emoticons"]
    assert [row[:2] for row in table[2:]] == [
        ["other", "keep"], ["sample (generated)", "keep"], ["sample (generated)", "strip"],
    ]  # fmt: skip


def test_variants_are_rows(capsys: pytest.CaptureFixture[str], tmp_path):
    table = cells(summary_table([run(variant="cbow_frozen"), run(variant="random_frozen")]))
    assert [row[2] for row in table[2:]] == ["CBOW, frozen", "random vectors, frozen"]
    for arguments in ([str(tmp_path)], ["--root", str(tmp_path)]):
        assert main(arguments) == 2
        assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'results'}: no finished run")


def test_knobs_of_cbow_tell_cbow_variants_apart_alone():
    runs = [run(variant=variant, epochs=epochs) for variant in ("cbow_frozen", "random_frozen") for epochs in (5, 20)]
    table = cells(summary_table(runs))
    assert table[0][1] == "cbow.epochs"
    assert sorted((row[-5], row[1]) for row in table[2:]) == [
        ("CBOW, frozen", "20"), ("CBOW, frozen", "5"), ("random vectors, frozen", ""),
    ]  # fmt: skip


def test_data_of_another_content_are_never_averaged():
    other = run(1)
    other.header["dataset"] = {"labelled_used": 8000, "fingerprint": "beef"}
    assert [row[-4] for row in cells(summary_table([run(0), other]))[2:]] == ["1", "1"]
