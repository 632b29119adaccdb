import csv
import gzip
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
import tracemalloc

import pandas
import pytest
import yaml

from pipeline.__main__ import main
from pipeline.prediction.predictor import Predictor
from pipeline.prediction.trained_model import write_model
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
        (["--run", "toy-run-s0", "--file", "absent.txt"], b"", "--file absent.txt: no such file"),
        (["--run", "toy-run-s0", "--file", "absent.txt", "x"], b"", "not both"),
        (["--run", "toy-run-s0"], b"id,text\n1,fine\n", "stdin, line 1: the header of a table"),
        (["--run", "toy-run-s0", "--columns", "id"], b"x\n", "--columns is about the columns of a table"),
        (["--run", "toy-run-s0", "--header=true", "x"], b"", "--header is about the columns of a table"),
        (
            ["--run", "toy-run-s0", "--encoding", "utf8x"],
            b"x\n",
            "--encoding=utf8x: no such text encoding; did you mean",
        ),
        (
            ["--run", "toy-run-s0", "--file", "../wrong/result"],
            b"",
            "wrong/result: no such file; did you mean",
        ),
        (["--run", "toy-run-s0", "--file", ".", "--delimiter=ab"], b"", "--delimiter=ab: expected one character"),
        (["--run", "toy-run-s0", "--to", "out.xlsx", "x"], b"", "expected a name that ends in .jsonl"),
        (["--run", "toy-run-s0", "--to", "no/out.csv", "x"], b"", "there is no folder no"),
        (["--run", "toy-run-s0", "--to", ".", "x"], b"", "--to .: is no regular file"),
        (["--run", "toy-run-s0", "--to", "a.csv", "--file", "a.csv"], b"", "--file reads this file"),
        (["--run", "toy-run-s0", "--labels", "values", "x"], b"", "does not map one value to each name"),
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
    (root / "a.csv").write_text("text\nfine\n")
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


def test_bytes_that_are_not_utf8_are_named_and_the_other_lines_answered(folder):
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "PYTHONIOENCODING": "ascii"}
    command = [*COMMAND, "--run", folder, "--compact", "--no-words"]
    lines = b"caf\xe9 \xff\nfine \xf0\x9f\x98\x80\nthe soup\0\n"
    done = subprocess.run(command, input=lines, env=environment, capture_output=True, check=False)
    assert done.returncode == 1
    answers = [json.loads(line) for line in done.stdout.decode("utf-8").splitlines()]
    assert [line["text"] for line in answers] == [None, "fine 😀", None]
    assert answers[0] == {"text": None, "label": None, "error": "line 1: byte 0xe9 is not UTF-8 (see --encoding)"}
    assert done.stderr.decode().splitlines() == [
        "stdin, line 1: byte 0xe9 is not UTF-8 (see --encoding)",
        "stdin, line 3: holds NUL bytes, expected text",
        "error: texts without a prediction: 2 of 3; their label is empty",
    ]
    done = subprocess.run([*command, b"caf\xe9", "fine"], env=environment, capture_output=True, check=False)
    assert [json.loads(line)["text"] for line in done.stdout.splitlines()] == [None, "fine"]
    assert done.stderr.startswith(b"arguments, text 1: byte 0xe9 is not UTF-8\n")


LATIN = b"the caf\xe9 was great\nthe bus was neat\n"
NUL = b"the soup was great\nthe soup was\0awful\nthe bus was neat\n"


@pytest.mark.parametrize(
    ("content", "arguments", "texts"),
    [
        (LATIN, [], [None, "the bus was neat"]),
        (LATIN, ["--encoding=latin-1"], ["the café was great", "the bus was neat"]),
        (NUL, [], ["the soup was great", None, "the bus was neat"]),
        (b"\xff\xfet\0h\0e\0", [], ["the"]),
        (b"t\0h\0e\0\n\0b\0u\0s\0", [], ["the", "bus"]),
        (b"\0t\0h\0e", ["--encoding=utf-16-be"], ["the"]),
        (b"one\rtwo\r", [], ["one", "two"]),
        (b"", [], []),
    ],
)
def test_text_files_in_other_encodings(predict, tmp_path, content, arguments, texts):
    path = tmp_path / "texts.txt"
    path.write_bytes(content)
    code, lines, err = predict("--no-words", "--file", str(path), *arguments)
    assert (code, [line["text"] for line in lines]) == (int(None in texts), texts)
    assert ("--encoding=" in err) == (texts[:1] == [None])
    usable = [text for text in texts if text is not None]
    assert [line for line in lines if line["label"]] == answers(predict, [("", text) for text in usable] or [("", "")])[
        : len(usable)
    ]
    code, through_stdin, _ = predict("--no-words", *arguments, stdin=content)
    assert (code, through_stdin) == (int(None in texts), lines)


@pytest.mark.parametrize("text", ["-_-", "-x", "--", "--run", "--_--", "-:", "-1", "-hmm", "-h", "-_- meh", "- a\nb"])
def test_a_text_after_two_dashes_is_a_text(folder, monkeypatch, capsys, text):
    code, lines, err = ask(monkeypatch, capsys, "--run", str(folder), "love", "--", text, "--file")
    assert (code, [line["text"] for line in lines], err) == (0, ["love", text, "--file"], "")


@pytest.mark.parametrize("subcommand", ["predict", "explain"])
@pytest.mark.parametrize("text", ["-_-", "-x", "-:o", "--_--", "-hmm", "--qqq", "-it's"])
def test_the_advice_on_a_text_that_looks_like_an_option_works(folder, capsys, subcommand, text):
    assert main([subcommand, text, "--run", str(folder)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    advice = err.partition("goes after two dashes: ")[2]
    program, *arguments = shlex.split(advice)[2:]
    assert (program, arguments) == ("pipeline", [subcommand, "--run", str(folder), "--", text])
    assert main(arguments) == 0
    assert text in capsys.readouterr().out


ROWS = [("7", "love this"), ("8", "hate\nthat"), ("9", 'so "sad"; today, ok'), ("x", "NA"), ("10", "été -_-")]


def answers(predict, rows=ROWS):
    """What `predict` says of each text as an argument."""
    code, lines, _ = predict("--no-words", "--", *(text for _, text in rows))
    assert code == 0
    return lines


@pytest.fixture
def predict(folder, monkeypatch, capsys):
    return lambda *arguments, stdin=b"": ask(monkeypatch, capsys, "--run", str(folder), *arguments, stdin=stdin)


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gz"])
@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl", "t.json", "t.parquet", "excel.csv"])
def test_a_table_of_every_kind_is_read_by_its_text_column(predict, tmp_path, name, compress):
    frame = pandas.DataFrame(ROWS, columns=["id", "text"])
    path = tmp_path / name
    {
        "t.csv": lambda: frame.to_csv(path, index=False),
        "t.tsv": lambda: frame.to_csv(path, index=False, sep="\t"),
        "excel.csv": lambda: frame.to_csv(path, index=False, sep=";", encoding="utf-16", lineterminator="\r\n"),
        "t.jsonl": lambda: frame.to_json(path, orient="records", lines=True),
        "t.json": lambda: frame.to_json(path, orient="records"),
        "t.parquet": lambda: frame.to_parquet(path),
    }[name]()
    path = path.rename(f"{path}.gz") if compress is gzip.compress else path
    path.write_bytes(compress(path.read_bytes()))
    expected = [{"columns": {"id": number}} | line for (number, _), line in zip(ROWS, answers(predict), strict=True)]
    code, lines, err = predict("--no-words", "--file", str(path), "--columns", "id")
    assert (code, lines) == (0, expected)
    assert [line.partition(" ")[0] for line in err.splitlines()] in ([], ["note:"], ["note:", "note:"])
    assert predict("--no-words", "--file", str(path)) == (0, answers(predict), err)


def test_the_text_column_is_that_of_the_run_or_the_only_sensible_one(predict, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("id,Tweet,text\n1,love it,hate it\n")
    assert [line["text"] for line in predict("--file", str(path))[1]] == ["hate it"]
    assert [line["text"] for line in predict("--file", str(path), "--text-column", "Tweet")[1]] == ["love it"]
    path.write_text("id,Tweet\n1,love it\n")
    code, lines, err = predict("--file", str(path))
    assert (code, [line["text"] for line in lines]) == (0, ["love it"])
    assert err == "note: t.csv: read the texts of column 'Tweet'; --text-column chooses another\n"
    (tmp_path / "t.jsonl").write_text('{"id": 1, "tweet": null}\n{"id": 2, "tweet": "love it"}\n')
    code, lines, err = predict("--file", str(tmp_path / "t.jsonl"))
    assert (code, [line["text"] for line in lines]) == (1, [None, "love it"])
    assert "t.jsonl, row 1 (line 1): no text (column 'tweet' is empty)\n" in err
    path.write_text("id,words,title\n1,love it,x\n")
    code, lines, err = predict("--file", str(path), "--text-column", "word")
    assert (code, lines) == (2, [])
    assert "no column 'word' (--text-column); columns: id, words, title; did you mean 'words'?" in err
    code, lines, err = predict("--file", str(path), "--columns", "it,id")
    assert (code, lines) == (2, [])
    assert "no column 'text' (--text-column); columns: id, words, title" in err
    code, _, err = predict("--file", str(path), "--text-column", "words", "--columns", "it,id")
    assert (code, "no column 'it' (--columns=it); columns: id, words, title" in err) == (2, True)


def test_a_table_without_a_header_is_read_as_the_message_says(predict, tmp_path):
    path = tmp_path / "raw.csv"
    rows = [f'"{4 * (n % 2)}","{1000 + n}","u{n}","love it {n}, café"\n' for n in range(6)]
    path.write_bytes("".join(rows).encode("latin-1"))
    arguments = ["--no-words", "--file", str(path)]
    for _ in range(3):
        code, lines, err = predict(*arguments)
        if code == 0:
            break
        assert (code, lines, err.count("\n")) == (2, [], 1)
        arguments += [word.strip(";,") for word in err.split() if word.startswith("--") and "=" in word]
    assert [line["text"] for line in lines] == [f"love it {n}, café" for n in range(6)]


def test_every_row_has_one_line_and_a_bad_one_says_why(folder, predict, tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b'id,text\n1,love it\n2\n3,\n4,"hate\nit"\n\n5,a\0b\n6,"x",y\n7,fine\n')
    problems = [
        ("2", "row 2 (line 3): 1 field, expected 2 (id, text)"),
        ("3", "row 3 (line 4): no text (column 'text' is empty)"),
        ("5", "row 5 (line 8): holds NUL bytes, expected text"),
        ("6", "row 6 (line 9): 3 fields, expected 2 (id, text)"),
    ]
    code, lines, err = predict("--no-words", "--file", str(path), "--columns", "id")
    assert code == 1
    assert [line["text"] for line in lines] == ["love it", None, None, "hate\nit", None, None, "fine"]
    assert [line["error"] for line in lines if line["label"] is None] == [problem for _, problem in problems]
    assert lines[2]["columns"] == {"id": "3"}
    assert err.splitlines() == [
        *(f"t.csv, {problem}" for _, problem in problems),
        "error: texts without a prediction: 4 of 7; their label is empty",
    ]
    command = ["predict", "--run", str(folder), "--file", str(path), "--columns", "id"]
    assert main([*command, "--to", str(tmp_path / "out.csv")]) == 1
    labels = [line["label"] or "" for line in lines]
    rows = list(csv.reader((tmp_path / "out.csv").read_text("utf-8").splitlines()))
    assert rows == [["id", "label"], *map(list, zip(["1", "", "3", "4", "5", "", "7"], labels, strict=True))]


def test_many_bad_lines_are_counted(predict):
    code, lines, err = predict("--no-words", stdin=b"the soup was\0awful\n" * 50 + b"fine")
    assert (code, len(lines), len(err.splitlines())) == (1, 51, 21)
    assert err.endswith("error: texts without a prediction: 50 of 51; their label is empty\n")


def test_a_text_that_cannot_be_tokenized_in_time_does_not_stop_the_others(predict, monkeypatch):
    expected = answers(predict, [("", "love"), ("", "hate")])
    monkeypatch.setattr("pipeline.text.tweet_tokenizer.TIMEOUT", 1e-6)
    slow = "a.b" * 20_000 + " @x"
    code, lines, _ = predict("--no-words", "love", slow, "hate")
    assert (code, [lines[0], lines[2]]) == (1, expected)
    assert "tokenize" in lines[1]["error"]


def relabelled(folder, tmp_path, **data):
    """A copy of a run with another section `data`."""
    copy = shutil.copytree(folder, tmp_path / "run")
    config = yaml.safe_load((copy / "config.yaml").read_text())
    (copy / "config.yaml").write_text(yaml.safe_dump(config | {"data": config["data"] | data}))
    return copy


def test_a_submission_has_the_columns_and_labels_of_the_data(folder, tmp_path, monkeypatch, capsys):
    run = relabelled(
        folder, tmp_path, text_column="tweet", label_column="target", labels={"0": "bad", "4": "good", "-1": "meh"}
    )
    (tmp_path / "test.csv").write_text('id,tweet\n7,"love\nthis"\n8,hate that\n9,it is at work 3\n')
    texts = ["love\nthis", "hate that", "it is at work 3"]
    _, lines, _ = ask(monkeypatch, capsys, "--run", str(run), *texts)
    names = [line["label"] for line in lines]
    assert set(names) == {"bad", "good", "meh"}
    command = ["predict", "--run", str(run), "--file", str(tmp_path / "test.csv"), "--columns", "id"]

    def submission(*arguments):
        assert main([*command, *arguments]) == 0
        return capsys.readouterr().out

    def table(header, labels):
        return "".join(f"{','.join(row)}\n" for row in [("id", header), *zip("789", labels, strict=True)])

    value_of = {"bad": "0", "good": "4", "meh": "-1"}
    assert submission("--format", "csv") == table("target", [value_of[name] for name in names])
    assert submission("--format", "csv", "--labels", "names") == table("target", names)
    assert submission("--format", "csv", "--label-column", "y", "--labels", "indices") == table(
        "y", [str(["bad", "good", "meh"].index(name)) for name in names]
    )
    values = json.loads(submission("--labels", "values").splitlines()[0])
    assert (values["label"], list(values["probabilities"])) == ("4", ["0", "4", "-1"])
    assert main([*command, "--columns", "id,target", "--format", "csv"]) == 2
    assert "--columns holds 'target', the column of the predictions" in capsys.readouterr().err


def test_values_of_labels_with_two_spellings_are_not_chosen(folder, tmp_path, monkeypatch, capsys):
    labels = {"bad": "bad", "Bad": "bad", "good": "good", "meh": "meh"}
    run = relabelled(folder, tmp_path, labels=labels)
    assert main(["predict", "--run", str(run), "--format", "csv", "hate that"]) == 0
    assert capsys.readouterr().out == "text,label\nhate that,bad\n"
    code, _, err = ask(monkeypatch, capsys, "--run", str(run), "--labels", "values", "hate that")
    assert (code, "does not map one value to each name" in err) == (2, True)


def test_an_export_and_a_copied_model_know_the_columns(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("pipeline.prediction.export.SECONDS", 0.0)
    run = relabelled(
        folder, tmp_path, text_column="words", label_column="y", labels={"1": "bad", "2": "good", "3": "meh"}
    )
    (tmp_path / "t.csv").write_text("text,words\nlove,hate that\n")
    assert main(["export", "--run", str(run), "--to", str(tmp_path / "small")]) == 0
    (tmp_path / "copy").mkdir()
    write_model(run, tmp_path / "copy")
    capsys.readouterr()
    for model in (run, tmp_path / "small", tmp_path / "copy"):
        assert main(["predict", "--run", str(model), "--file", str(tmp_path / "t.csv"), "--format", "csv"]) == 0
        assert capsys.readouterr().out == "text,y\nhate that,1\n"


def test_a_file_is_written_whole_and_the_next_command_reads_it(folder, tmp_path, monkeypatch, capsys):
    for name in ("it's out.csv", "out.jsonl"):
        path = tmp_path / name
        path.write_text("old")
        command = ["predict", "--run", str(folder), "--to", str(path), "love", "hate"]
        with monkeypatch.context() as patch:
            patch.setattr(Predictor, "predict_each", lambda *_, **__: 1 / 0)
            assert main(command) == 1
        assert path.read_text() == "old"
        assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []
        capsys.readouterr()
        assert main(command) == 0
        wrote, then = capsys.readouterr().out.splitlines()
        assert wrote == f"wrote {path}: 2 rows; labels bad, good, meh"
        program, *arguments = shlex.split(then.removeprefix("next: "))
        done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True)
        assert program == sys.executable
        assert "love" in done.stdout


def test_a_long_file_is_answered_in_constant_memory(folder, tmp_path, capsys):
    path = tmp_path / "long.txt"
    path.write_text("love this\n" * 40_000)
    out = tmp_path / "out.csv"
    arguments = ["predict", "--run", str(folder), "--compact", "--to", str(out), "--file"]
    assert main([*arguments, str(path)]) == 0
    tracemalloc.start()
    assert main([*arguments, str(path)]) == 0
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert capsys.readouterr().out.startswith(f"wrote {out}: 40,000 rows")
    assert peak < 4_000_000


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
