"""The command: which model it takes, what it writes, and how it refuses."""

import dataclasses
import json

import pytest

from pipeline.cli.arguments import newest_run
from pipeline.cli.explain import main
from pipeline.prediction.explain.model import read_trained_run

TINY_FRESH = ("--set", "data.sample.labelled=300", "--set", "train.max_epochs=2", "--set", "train.min_epoch_steps=5")


def test_record_is_read_as_it_was_written(tiny, write_run, tmp_path):
    found = read_trained_run(write_run(tmp_path, "a", tiny))
    for field in dataclasses.fields(tiny):
        ours, theirs = getattr(found, field.name), getattr(tiny, field.name)
        if field.name in ("initial_VE", "final_VE"):
            assert ours.tobytes() == theirs.tobytes()
        elif field.name not in ("name", "vocabulary", "layers"):
            assert ours == theirs, field.name
    assert found.name == "a"
    assert found.vocabulary.id_of == tiny.vocabulary.id_of
    assert {name: weight.tolist() for name, weight in found.layers.items()} == {
        name: weight.tolist() for name, weight in tiny.layers.items()
    }


def test_newest_whole_record_with_an_embedding_is_taken(tiny, write_run, tmp_path, capsys):
    assert newest_run(tmp_path / "results") is None
    write_run(tmp_path, "older", tiny, "2024-01-01")
    newest = write_run(tmp_path, "newer", tiny, "2024-02-01")
    write_run(tmp_path, "without", tiny, "2024-03-01", embedding=False)
    (write_run(tmp_path, "broken", tiny, "2024-04-01") / "manifest.json").write_text("{")
    assert newest_run(tmp_path / "results") == newest
    assert main(["good movie", "--root", str(tmp_path)]) == 0
    assert "run     newer" in capsys.readouterr().out
    assert main(["good movie", "--root", str(tmp_path), "--run", "older"]) == 0
    assert "run     older" in capsys.readouterr().out


def test_json_is_plain_data(tiny, write_run, tmp_path, capsys):
    folder = write_run(tmp_path, "a", tiny)
    assert main(["Good movie zzz", "--run", str(folder), "--label", "positive", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [token["id"] for token in found["tokens"]] == [2, 4, 1]
    assert found["decision"]["logits"] == pytest.approx([-5 / 12, 5 / 12])
    assert [step["label"] for step in found["steps"]] == [1, 1]
    assert found["one_hot"]["largest_difference"] == 0


def test_page_is_written_instead_of_text(tiny, write_run, tmp_path, capsys):
    folder, page = write_run(tmp_path, "a", tiny), tmp_path / "page.html"
    assert main(["good <script>alert(1)</script> \udc80", "--run", str(folder), "--html", str(page)]) == 0
    assert capsys.readouterr() == ("", f"wrote {page}\n")
    written = page.read_text("utf-8")
    assert written.startswith("<!DOCTYPE html>")
    assert "<script" not in written


def edited(folder, name, change):
    path = folder / name
    value = json.loads(path.read_text("utf-8"))
    change(value)
    path.write_text(json.dumps(value), "utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--run", "whote"], "did you mean 'whole'?"),
        (["--run", ""], "no such folder, and no run in"),
        (["--run", "bare"], "kept no embedding"),
        (["--run", "cut"], "not the record of a finished run"),
        (["--run", "odd"], "do not fit"),
        (["--run", "old"], "EmbeddingConfig has other keys: anchor"),
        (["--run", "whole", "--label", "positiv"], "did you mean 'positive'?"),
        (["--run", "whole", "--fresh"], "exclude each other"),
        (["--run", "whole", "--html", "/nowhere/at/all.html"], "cannot be written"),
        (["--fresh", "--set", "model=grru"], "did you mean 'gru'?"),
        (["--colour"], "unknown option --colour; did you mean '--uri'?"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tiny, write_run, tmp_path, capsys, arguments, said):
    write_run(tmp_path, "whole", tiny)
    write_run(tmp_path, "bare", tiny, embedding=False)
    (write_run(tmp_path, "cut", tiny) / "manifest.json").unlink()
    edited(write_run(tmp_path, "odd", tiny), "vocabulary.json", lambda stored: stored["words"].pop())
    old = write_run(tmp_path, "old", tiny) / "config.yaml"
    old.write_text(old.read_text("utf-8").replace("  anchor: 0.0\n", ""), "utf-8")
    assert main(["good", "--root", str(tmp_path), *arguments]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert said in error


def test_fresh_root_trains_a_small_model_and_leaves_nothing(tmp_path, capsys):
    assert main(["--root", str(tmp_path), *TINY_FRESH]) == 0
    out, _ = capsys.readouterr()
    assert "“White refrigerator is evil.”" in out
    assert "GENERATED tweets" in out
    assert "random_trainable" in out
    assert list(tmp_path.iterdir()) == []


def test_fresh_model_can_be_another_variant_and_encoder(capsys):
    assert main(["i love this", "--json", *TINY_FRESH, "--set", "model=gru", "--set", "embedding=random_frozen"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["encoder"]["name"], found["variant"]) == ("gru", "random_frozen")
    assert [step["trainable"] for step in found["steps"]] == [False, True]
    assert [step["rows_changed"] > 0 for step in found["steps"]] == [False, True]
