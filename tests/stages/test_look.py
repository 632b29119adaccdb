"""`stage=look`: what it counts on a small folder with planted faults, its page, and the commands it prints."""

import csv
import os
import random
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.cli.run import main
from pipeline.config.compose import compose
from pipeline.prediction.explain.printable import width
from pipeline.runtime.files import read_json
from pipeline.runtime.paths import project_root
from pipeline.stages.look import COLUMNS

Rows = Sequence[tuple[str, str]]
WORDS = ["red", "blue", "green", "round", "square", "tall", "short", "warm", "cold", "soft", "hard", "loud"]


def plain(start: int, count: int) -> list[tuple[str, str]]:
    """Different texts whose words say nothing about the label."""
    rng = random.Random(start)
    rows = range(start, start + count)
    return [(f"{' '.join(rng.sample(WORDS, 5))} thing number{row}", ("bad", "good")[row % 2]) for row in rows]


def planted() -> dict[str, list[tuple[str, str]]]:
    """Train, validation and test rows with faults."""
    train = plain(0, 400)
    train = [(f"{text} leakword" if label == "good" else text, label) for text, label in train]
    train += [(f"the very same sentence again {row // 3} here", "bad") for row in range(6)]  # 2 texts, 3 times each
    train += [("one text with two labels", "bad"), ("one text with two labels", "good")]
    train += [
        ("cafÃ© one two", "bad"),
        ("second cafÃ©", "bad"),
        ("bell\x07 rings", "good"),
        ("line one\nline two", "bad"),
    ]
    train += [("some text of another class", label) for label in ("Good", "Good ", "bad\u200b")]
    train += [("", "good"), ("a text without a label", "")]
    validation = [(text.replace("thing", "item"), label) for text, label in plain(1000, 40)]
    test = [(f"{text} leakword" if label == "good" else text, label) for text, label in plain(2000, 40)]
    test += [("the very same sentence again 0 here", "bad")]
    return {"train": train, "validation": validation, "test": test}


def write(folder: Path, splits: dict[str, list[tuple[str, str]]]) -> Path:
    folder.mkdir(exist_ok=True)
    for split, rows in splits.items():
        with (folder / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("tweet", "mood"), *rows])
    return folder


@pytest.fixture
def look(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[str, dict[str, Any]]]:
    """Runs the command; gives what it printed and the numbers in its one folder."""
    monkeypatch.chdir(project_root())

    def run(*overrides: str) -> tuple[str, dict[str, Any]]:
        assert main(["stage=look", f"paths.root={tmp_path / 'root'}", "workers=1", *overrides]) == 0
        out, err = capsys.readouterr()
        folder = max((tmp_path / "root" / "results" / "looks").iterdir(), key=os.path.getmtime)
        assert (folder / "look.txt").read_text("utf-8") == out
        assert f"look: {folder / 'look.txt'}" in err
        return out, read_json(folder / "look.json")

    return run


def files(folder: Path) -> list[str]:
    return ["data=files", f"data.path={folder}", "data.text_column=tweet", "data.label_column=mood"]


class TestPlantedFaults:
    def test_the_numbers(self, look, tmp_path):
        _, report = look(*files(write(tmp_path / "planted", planted())))
        train, validation, test = report["splits"]
        assert [split["split"] for split in report["splits"]] == ["train", "validation", "test"]
        assert train["classes"] == {"Good": 2, "bad": 200 + 6 + 1 + 3, "bad\u200b": 1, "good": 200 + 1 + 1}
        assert (train["texts"], validation["texts"], test["texts"]) == (415, 40, 41)
        assert any("labels differ in case, blanks or invisible characters alone" in note for note in report["notes"])
        assert report["decoding_errors"] == {
            "mojibake": {"texts": 2, "examples": ["cafÃ© one two", "second cafÃ©"]},
            "control": {"texts": 1, "examples": ["bell\x07 rings"]},
        }
        within = report["duplicates"]["exact"]["within"]
        assert [record["repeats"] for record in within] == [4 + 1 + 2, 0, 0]
        across = {(r["first"], r["second"]): r["rows_second"] for r in report["duplicates"]["exact"]["across"]}
        assert across == {("train", "validation"): 0, ("train", "test"): 1, ("validation", "test"): 0}
        assert report["duplicates"]["exact"]["conflicts"]["groups"] == 2
        assert [record["token"] for record in report["leaks"]["deciding"]["tokens"]] == ["leakword"]
        assert any("2 of 417 rows left out" in note for note in report["notes"])
        assert any(finding["code"] == "label_leak" for finding in report["findings"])
        assert sum(report["histogram"]["counts"]) == 415
        assert report["lengths"]["train"]["characters"][0] == len("bell\x07 rings") == 11
        assert report["lengths"]["test"]["characters"][4] == max(len(text) for text, _ in planted()["test"])
        assert len(report["examples"]) == 5
        rows = [(text, label.strip()) for text, label in planted()["train"]]
        assert all((row["text"], row["label"]) in rows for row in report["examples"])

    def test_the_page(self, look, tmp_path):
        page, report = look(*files(write(tmp_path / "planted", planted())))
        lines = page.splitlines()
        assert max(width(line) for line in lines if not line.startswith("./scripts/run")) <= COLUMNS
        text = " ".join(page.split())
        assert "bad\\u200b" in text
        assert "2 texts hold UTF-8 that was decoded as another encoding. It is so in the source" in text
        assert "of test that stand in train 1 1" in text
        assert "leakword good 200 100.0 20 100.0" in text
        (joined,) = re.findall(r"join them with 'data.labels=(\[.*?\])'", text)
        assert joined == '["bad","good"]'
        assert all(" ".join(finding["text"].split()) in text for finding in report["findings"])
        assert all(" ".join(finding["remedy"].split()) in text for finding in report["findings"])
        (duplicates,) = [f for f in report["findings"] if f["code"] == "duplicates_between_splits"]
        assert "data.deduplicate=" in duplicates["remedy"]
        assert lines[-1] == report["commands"]["study"]

    def test_a_newline_and_a_control_character_are_visible(self, look, tmp_path):
        texts = [f"word{row}\nnext\tline\x1b[31m \u202e{WORDS[row % 12]}" for row in range(40)]
        rows = [(text, ("bad", "good")[row % 2]) for row, text in enumerate(texts)]
        page, _ = look(*files(write(tmp_path / "rows", {"train": rows})))
        assert "\\nnext\\tline\\x1b[31m \\u202e" in page
        assert not {"\x1b", "\u202e", "\t"} & set(page)

    def test_the_same_seed_draws_the_same_rows_and_another_seed_others(self, look, tmp_path):
        folder = write(tmp_path / "planted", planted())
        first, again, other = (look(*files(folder), f"seed={seed}")[1]["examples"] for seed in (0, 0, 1))
        assert first == again != other


class TestCommands:
    def overrides(self, command: str) -> list[str]:
        script, *words = shlex.split(command)
        assert script == "./scripts/run"
        return words

    def test_they_read_the_same_data(self, look, tmp_path):
        folder = write(tmp_path / "one, two's (new)", planted())
        _, report = look(*files(folder)[:1], f"data.path='{folder}'".replace("two's", "two\\'s"), *files(folder)[2:])
        run, study = (compose(self.overrides(report["commands"][name])) for name in ("run", "study"))
        assert run.data == study.data
        assert Path(run.data.path) == folder
        assert (run.stage, run.embedding.init, run.embedding.trainable) == ("all", "cbow", False)
        assert study.stage == "compare"

    def test_without_validation_the_run_needs_none(self, look, tmp_path):
        splits = planted()
        del splits["validation"]
        small = ("data.validation_size=0", "embedding.dim=4", "cbow.epochs=1", "train.max_epochs=1")
        tiny = ("train.min_epoch_steps=1", "tracking.enabled=false", "text.emoticons=strip", "probe.antonyms=false")
        page, report = look(*files(write(tmp_path / "two", splits)), *small, *tiny)
        assert list(report["lengths"]) == ["test", "train"]
        assert list(report["commands"]) == ["run"]
        words = self.overrides(page.splitlines()[-1])
        assert main(words) == 0
        (record,) = (tmp_path / "root" / "results").glob("two-*")
        assert (record / "note.md").is_file()

    def test_a_recipe_of_the_command_stays(self, look):
        small = ("data.sample.labelled=60", "data.sample.unlabelled=0")
        _, report = look("+experiment=random_frozen", *small)
        (command,) = report["commands"].values()
        assert self.overrides(command)[1:] == ["workers=1", "+experiment=random_frozen", *small]

    def test_a_sweep_prints_a_page_for_each(self, look, capsys, tmp_path):
        overrides = [
            f"paths.root={tmp_path / 'root'}",
            "data.sample.labelled=60",
            "data.sample.unlabelled=0",
            "workers=1",
        ]
        assert main(["-m", "stage=look", *overrides, "text.emoticons=keep,strip"]) == 0
        page = capsys.readouterr().out
        assert page.count("Go on with") == 2
        assert page.count("text.emoticons=strip") == 2


def test_many_classes_with_long_names(look, tmp_path):
    rows = [(f"{WORDS[row % 12]} {WORDS[row % 11]} {row}", f"{'x' * 200} {row % 1000}") for row in range(3000)]
    page, report = look(*files(write(tmp_path / "many", {"train": rows})))
    lines = page.splitlines()
    assert max(width(line) for line in lines if not line.startswith("./scripts/run")) <= COLUMNS
    assert len(lines) < 150
    assert "988 others" in page
    assert len(report["splits"][0]["classes"]) == 1000


def test_a_wrong_column_shows_the_first_lines_before_the_error(tmp_path, capsys):
    file = tmp_path / "mine.csv"
    rows = [f"{row};{'gut' if row % 2 else 'mies'};Text\t{row} ä\n" for row in range(30)]
    file.write_text("".join(["id;Stimmung;Text\n", *rows]), "cp1252")
    overrides = ["stage=look", "data=files", f"data.path={file}", f"paths.root={tmp_path}", "data.encoding=cp1252"]
    assert main(overrides) == 2
    out, err = capsys.readouterr()
    assert out.splitlines()[1:4] == ["id;Stimmung;Text", "0;mies;Text\\t0 ä", "1;gut;Text\\t1 ä"]
    assert len(out.splitlines()) == 6
    errors = [line for line in err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "no column 'text' (data.text_column)" in errors[0]
    assert not (tmp_path / "results").exists()


def test_a_missing_file_and_a_parquet_file_have_no_first_lines(tmp_path, capsys):
    table = tmp_path / "table.parquet"
    pq.write_table(pa.table({"a": ["b"]}), table)
    for path in (table, tmp_path / "absent.csv"):
        assert main(["stage=look", "data=files", f"data.path={path}", f"paths.root={tmp_path}"]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert str(path) in err


@pytest.mark.parametrize("data", ["nltk_twitter", "tweet_eval"])
def test_public_data(look, shared, data):
    path = {"nltk_twitter": "nltk_data", "tweet_eval": "hub/cardiffnlp/tweet_eval"}[data]
    name = ["data.name=irony"] if data == "tweet_eval" else []
    _, report = look(f"data={data}", f"data.path={shared(path)}", *name)
    rows = {"nltk_twitter": [7200, 800, 2000], "tweet_eval": [2862, 955, 784]}[data]
    assert [split["texts"] for split in report["splits"]] == rows
    codes = {finding["code"] for finding in report["findings"]}
    assert ("label_leak" in codes) == (data == "nltk_twitter")


def test_a_reader_that_stops_early_is_no_failure(tmp_path):
    command = f"{shlex.quote(sys.executable)} -m pipeline stage=look paths.root={tmp_path} data.sample.labelled=60 "
    command += "data.sample.unlabelled=0 workers=1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | true"], capture_output=True, text=True, cwd=project_root(),
        env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode in (0, 141), done.stderr
    assert "Traceback" not in done.stderr
    assert "error:" not in done.stderr
