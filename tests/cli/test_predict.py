import io
import json
import os
import subprocess
import sys

import pytest

from pipeline.__main__ import main
from pipeline.runtime.paths import project_root

PROJECT = project_root()
TEXTS = ["love this 😀", "", "@user http://t.co/x  awful", "long " * 2000, 'quotes " and \\ back', "-- dashes"]
COMMAND = [sys.executable, "-m", "pipeline", "predict"]


@pytest.fixture
def folder(make_run):
    return make_run("embedding=random_trainable", "model=mean")


class Stdin(io.TextIOWrapper):
    def isatty(self):
        return False


def ask(monkeypatch, capsys, *arguments, stdin=b""):
    monkeypatch.setattr(sys, "stdin", Stdin(io.BufferedReader(io.BytesIO(stdin))))
    monkeypatch.setattr(type(sys.stdout), "reconfigure", lambda *_, **__: None, raising=False)
    code = main(list(arguments) if arguments[0] == "export" else ["predict", *arguments])
    out, err = capsys.readouterr()
    return code, [json.loads(line) for line in out.splitlines()], err


def test_arguments_stdin_and_file_agree(folder, tmp_path, monkeypatch, capsys):
    lines = "\n".join(TEXTS).encode()
    (tmp_path / "texts.txt").write_bytes(lines)
    code, given, err = ask(monkeypatch, capsys, "--run", str(folder), "--", *TEXTS)
    assert (code, err) == (0, "")
    assert [line["text"] for line in given] == TEXTS
    assert ask(monkeypatch, capsys, "--run", str(folder), stdin=lines) == (0, given, "")
    assert ask(monkeypatch, capsys, "--run", str(folder), "--file", str(tmp_path / "texts.txt")) == (0, given, "")


def test_a_line_says_label_probabilities_and_words(folder, monkeypatch, capsys):
    _, (line,), _ = ask(monkeypatch, capsys, "--run", str(folder), "hate qqq mondays")
    assert list(line) == ["text", "label", "probabilities", "words", "unknown", "decision"]
    assert list(line["probabilities"]) == ["bad", "good", "meh"]
    assert sum(line["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert line["label"] == max(line["probabilities"], key=line["probabilities"].get)
    assert [word["word"] for word in line["words"]] == ["hate", "qqq", "mondays"]
    assert line["unknown"] == ["qqq"]
    total = sum(word["contribution"] for word in line["words"]) + line["decision"]["bias"]
    assert total == pytest.approx(line["decision"]["margin"], abs=1e-4)
    _, (short,), _ = ask(monkeypatch, capsys, "--run", str(folder), "--no-words", "hate qqq mondays")
    assert short == {key: line[key] for key in ("text", "label", "probabilities")}


def test_the_newest_run_with_an_embedding_is_the_default(make_run, tmp_path, monkeypatch, capsys):
    first = make_run("embedding=random_trainable", "model=mean", name="z-first", into=tmp_path)
    second = make_run("embedding=random_frozen", "model=mean", name="a-second", into=tmp_path)
    make_run("embedding=random_frozen", "model=gru", name="b-bare", keep=False, into=tmp_path)
    half = tmp_path / "results" / "half"
    half.mkdir()
    (half / "embedding.safetensors").write_bytes(b"")
    for folder, finished in ((first, "2026-01-01T00:00:00+00:00"), (second, "2026-01-02T00:00:00+00:00")):
        manifest = json.loads((folder / "manifest.json").read_text())
        (folder / "manifest.json").write_text(json.dumps(manifest | {"finished": finished}))
    _, default, _ = ask(monkeypatch, capsys, "--root", str(tmp_path), "love")
    _, named, _ = ask(monkeypatch, capsys, "--root", str(tmp_path), "--run", "a-second", "love")
    _, other, _ = ask(monkeypatch, capsys, "--root", str(tmp_path), "--run", "z-first", "love")
    assert default == named != other


@pytest.mark.parametrize(
    ("arguments", "stdin", "told"),
    [
        (["--run", "no-such-run", "x"], b"", "no-such-run: no such folder, and no run in"),
        (["--run", "toy-run-s1", "x"], b"", "did you mean 'toy-run-s0'"),
        (["--run", "models:/nothing@champion", "x"], b"", "there is no"),
        (["--run", "0" * 32, "x"], b"", "there is no"),
        (["--run", "toy-run-s0", "--file", "absent.txt"], b"", "absent.txt: cannot be read"),
        (["--run", "toy-run-s0", "--file", "absent.txt", "x"], b"", "not both"),
        (["--run", "toy-run-s0"], b"fine\n\0\0\0", "stdin, line 2: holds NUL bytes"),
        (["--run", "toy-bare", "x"], b"", "tracking.keep_embedding=true"),
        (["--run", "toy-gru", "--compact", "x"], b"", "only the mean encoder collapses"),
        (["export", "--run", "toy-gru", "--format", "compact", "--to", "out"], b"", "only the mean encoder collapses"),
        (["--compcat", "x"], b"", "unknown option --compcat; did you mean '--compact'?"),
    ],
)
def test_what_is_wrong_is_one_line_and_code_two(
    make_run, tmp_path_factory, monkeypatch, capsys, arguments, stdin, told
):
    root = tmp_path_factory.getbasetemp() / "wrong"
    make_run("embedding=random_trainable", "model=mean", name="toy-run-s0", into=root)
    make_run("embedding=random_trainable", "model=gru", name="toy-gru", into=root)
    make_run("embedding=random_trainable", "model=gru", name="toy-bare", keep=False, into=root)
    monkeypatch.chdir(root)
    extra = (
        ["export", "--root", str(root), *arguments[1:]]
        if arguments[0] == "export"
        else ["--root", str(root), *arguments]
    )
    code, _, err = ask(monkeypatch, capsys, *extra, stdin=stdin)
    assert code == 2
    assert told in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_a_root_without_runs_says_how_to_make_one(tmp_path, monkeypatch, capsys):
    code, _, err = ask(monkeypatch, capsys, "--root", str(tmp_path), "x")
    assert code == 2
    assert "try ./scripts/run" in err


def test_bytes_that_are_not_utf8_are_answered_and_counted(folder):
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [*COMMAND, "--run", folder, "--compact", "--no-words"], input=b"caf\xe9 \xff\nfine \xf0\x9f\x98\x80\n",
        env=environment, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    texts = [json.loads(line)["text"] for line in done.stdout.decode("utf-8").splitlines()]
    assert texts == ["caf\ufffd \ufffd", "fine 😀"]
    assert done.stderr.decode() == "note: lines not in UTF-8: 1; U+FFFD replaces their invalid bytes\n"
    done = subprocess.run(
        [*COMMAND, "--run", folder, "--compact", "--no-words", b"caf\xe9"],
        env=environment,
        capture_output=True,
        check=False,
    )
    assert json.loads(done.stdout)["text"] == "caf\ufffd"


def test_a_line_is_answered_before_the_next_one_comes(folder):
    process = subprocess.Popen(
        [*COMMAND, "--run", folder, "--compact"], env=os.environ | {"PYTHONPATH": str(PROJECT)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8",
    )  # fmt: skip
    with process:
        for text in ("love this", "hate that"):
            process.stdin.write(text + "\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["text"] == text
        process.stdin.close()
        assert process.wait(20) == 0


def test_export_writes_checks_and_tells(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("pipeline.prediction.export.SECONDS", 0.0)
    assert main(["export", "--run", str(folder), "--to", str(tmp_path / "small")]) == 0
    told = capsys.readouterr().out
    assert "table of word scores" in told
    assert "probabilities differ from the full model's by" in told
    code, lines, _ = ask(monkeypatch, capsys, "--run", str(tmp_path / "small"), *TEXTS[:2])
    _, full, _ = ask(monkeypatch, capsys, "--run", str(folder), *TEXTS[:2])
    assert code == 0
    assert [line["label"] for line in lines] == [line["label"] for line in full]
    card = (tmp_path / "small" / "model_card.md").read_text("utf-8")
    assert "GENERATED TWEETS" in card
    assert "/home/" not in card
