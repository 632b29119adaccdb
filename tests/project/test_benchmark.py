"""The benchmark's harness: what a row is, sections that fail or are killed, one file, one page. No figure is judged."""

import importlib.util
import json
import os
import subprocess
import sys
import warnings
from types import ModuleType

import numpy as np
import pytest
import torch
from simulated_gpu import NAME, simulated_gpu

from pipeline.classifier.batch import take
from pipeline.classifier.engine import Run
from pipeline.classifier.model import Classifier, Embedding
from pipeline.config.compose import compose
from pipeline.runtime.paths import project_root

ROOT = project_root()
BENCH = ROOT / "scripts" / "bench"
HERE = {
    "machine": {"cpu": "A CPU", "cores": 2, "memory_gib": 8.0, "gpu": "none", "system": "Linux"},
    "versions": {"python": "3.11.9", "gensim": "4.4.0"},
    "code": {"commit": "aaaaaaaaaaaa", "dirty": False},
}
FAKES = {
    "good": '''
        """What good measures,

        and what the page leaves out.
        """
        from measure import Figure, versus

        NOTES = "told before"

        def figures(scale):
            global NOTES
            yield Figure("Good", "a rate", "tweets/second", (60.0, 50.0, 70.0), "NLTK", (10.0,) * 3, "≥ 5 ×", "n = 3")
            yield versus("Good", "a time", "seconds", lambda: 2.0, "a|peer", lambda: 1.0, rounds=2, target="≤ 1.00 ×")
            (scale.folder / "growth.svg").write_text("<svg>a plot</svg>")
            NOTES = f"quick: {scale.quick}, cores: {scale.cores}"
    ''',
    "failing": '''
        from measure import Figure

        def figures(scale):
            yield Figure("Failing", "its first row", "seconds", (1.0,), "", (), "< 1.5 s")
            raise ValueError("broke\\n in the middle")
    ''',
    "skipping": '''
        from measure import Skipped

        def figures(scale):
            raise Skipped("no GPU")
            yield
    ''',
    "partly": '''
        from measure import Figure, Skipped

        def figures(scale):
            yield Figure("Partly", "a row", "points", (-0.5004,), "a peer", (), "≥ -0.5 points")
            raise Skipped("no GPU: another row")
    ''',
    "killed": '''
        import os

        def figures(scale):
            os._exit(9)
            yield
    ''',
    "peerless": '''
        import a_peer.that_nobody_has

        def figures(scale):
            yield
    ''',
    "waiting": '''
        import os, time
        from measure import Figure

        def figures(scale):
            yield Figure("Waiting", "its process", "", (float(os.getpid()),), "", (), "")
            time.sleep(600)
    ''',
}  # fmt: skip


@pytest.fixture
def bench(monkeypatch, tmp_path) -> ModuleType:
    """The program with fake sections, its files in a temporary folder."""
    folder = tmp_path / "fakes"
    folder.mkdir()
    for name, code in FAKES.items():
        lines = code.splitlines()[1:]
        (folder / f"{name}.py").write_text("\n".join(line[8:] for line in lines), "utf-8")
    monkeypatch.syspath_prepend(str(BENCH))
    monkeypatch.syspath_prepend(str(folder))
    spec = importlib.util.spec_from_file_location("bench_main", BENCH / "__main__.py")
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    monkeypatch.setattr(program, "SECTIONS", tuple(FAKES))
    monkeypatch.setattr(program, "RESULTS", tmp_path / "results" / "benchmark.json")
    monkeypatch.setattr(program, "PAGE", tmp_path / "docs" / "performance.md")
    monkeypatch.setattr(program, "where", lambda root: HERE)
    return program


@pytest.fixture
def measure(monkeypatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module("measure")


@pytest.mark.parametrize(
    ("target", "unit", "ours", "theirs", "met"),
    [
        ("≥ 5 ×", "tweets/second", (50.0,), (10.0,), True),
        ("≥ 5 ×", "tweets/second", (49.0,), (10.0,), False),
        ("≤ 1.00 ×", "seconds", (1.0,), (1.0,), True),
        ("< 1 s", "seconds", (0.9,), (), True),
        ("< 1 s", "seconds", (1.0,), (), False),
        ("≤ 8 GiB", "GiB", (9.0,), (), False),
        ("≤ 8 GiB", "GiB", (7.0,), (100.0,), True),
        ("≤ 1,000 MiB", "MiB", (999.0,), (), True),
        ("≤ 3 % of the run", "seconds", (3.1,), (100.0,), False),
        ("≥ 50 % of the floor", "GB/s", (60.0,), (100.0,), True),
        ("≤ 3 %", "%", (2.0,), (), True),
        ("≥ -0.5 points", "points", (-0.4,), (), True),
        ("≥ -0.5 points", "points", (-0.6,), (), False),
        ("", "seconds", (1.0,), (2.0,), None),
        # The ratio is formed in each round: 1, 10, 0.1; the ratio of the medians would be 10.
        ("≤ 2 ×", "seconds", (1.0, 10.0, 10.0), (1.0, 1.0, 100.0), True),
    ],
)
def test_a_target_is_met_or_not(measure, target, unit, ours, theirs, met):
    assert measure.Figure("s", "w", unit, ours, "a peer", theirs, target).met is met


@pytest.mark.parametrize(
    ("unit", "ours", "theirs", "target", "told"),
    [
        ("seconds", (), (), "", "no round"),
        ("seconds", (1.0, 2.0), (1.0,), "", "2 rounds of ours and 1"),
        ("seconds", (1.0,), (), "≥ 5 ×", "neither"),
        ("seconds", (1.0,), (1.0,), "≤ 8 GiB", "neither"),
        ("seconds", (1.0,), (1.0,), "about 5 ×", "expected such as"),
    ],
)
def test_a_row_that_says_nothing_is_refused(measure, unit, ours, theirs, target, told):
    with pytest.raises(ValueError, match=told):
        measure.Figure("s", "w", unit, ours, "a peer", theirs, target)


@pytest.mark.parametrize(
    ("target", "unit", "ours", "theirs", "told"),
    [
        ("≤ 1.1 ×", "seconds", (135.525,), (122.948,), "1.102 ×"),
        ("≤ 1.1 ×", "seconds", (1.1,), (1.0,), "1.1 ×"),
        ("≥ 50 %", "GB/s", (49.99,), (100.0,), "0.4999 ×"),
        ("≤ 1 ×", "seconds", (1.0, 1.00004, 2.0), (1.0, 1.0, 1.0), "1.00004 (1–2) ×"),
        ("< 1 s", "seconds", (0.99999,), (), "0.99999 seconds"),
        ("≤ 1,000 MiB", "MiB", (1000.4,), (), "1,000.4 MiB"),
        ("≥ -0.5 points", "points", (-0.5004,), (), "-0.5004 points"),
        ("≤ 0.0001 ×", "seconds", (0.000100001,), (1.0,), "1.00001e-04 ×"),
        ("", "seconds", (1.10244,), (), "1.1 seconds"),
    ],
)
def test_a_row_does_not_contradict_itself(measure, target, unit, ours, theirs, told):
    row = importlib.import_module("page").cells(measure.Figure("s", "w", unit, ours, "a peer", theirs, target))
    assert told in row


def test_both_sides_take_turns_and_each_goes_first(measure):
    calls: list[str] = []

    def side(name, value):
        def work():
            calls.append(name)
            return value + len(calls)

        return work

    found = measure.versus("s", "w", "seconds", side("ours", 0), "p", side("peer", 100), rounds=3, target="")
    assert calls == ["ours", "peer", "peer", "ours", "ours", "peer"]
    assert (found.ours, found.theirs) == ((1.0, 4.0, 5.0), (102.0, 103.0, 106.0))


def test_a_section_that_breaks_fails_alone(bench, capfd):
    assert bench.main(["--only", "failing", "good", "killed", "partly", "peerless", "skipping"]) == 1
    out, err = capfd.readouterr()
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "Good a rate 60 tweets/second NLTK: 10 6 (5–7) × ≥ 5 × yes" in lines
    assert "Good a time 2 seconds a|peer: 1 2 (2–2) × ≤ 1.00 × no" in lines
    assert "Failing its first row 1 seconds < 1.5 s yes" in lines
    assert "Failing failed: ValueError: broke in the middle" in lines
    assert "Killed failed: its process ended with exit code 9" in lines
    assert "Peerless was not measured: a_peer is not installed" in lines
    assert "Skipping was not measured: no GPU" in lines
    assert "Partly a row -0.5004 points a peer ≥ -0.5 points no" in lines
    assert "The rest of partly was not measured: no GPU: another row" in lines
    assert "Waiting was not measured: not yet" in lines
    assert lines[0] == "A CPU, 2 cores, 8.0 GiB memory, GPU: none, Linux"
    assert "Good: a time, round 2 of 2" in err
    assert "Traceback" not in err


def test_the_page(bench):
    assert bench.main(["--only", "good", "skipping"]) == 0
    page = bench.PAGE.read_text("utf-8")
    assert "| Good | a rate | 60 tweets/second | NLTK: 10 | 6 (5–7) × | ≥ 5 × | yes |" in page
    assert "| Good | a time | 2 seconds | a/peer: 1 |" in page
    assert "- **a rate**: 60 (50–70) tweets/second, NLTK 10 (10–10); 3 rounds\n\nN = 3.\n" in page
    assert "What good measures," in page
    assert "leaves out" not in page
    assert "quick: False, cores: 2" in page
    assert "told before" not in page
    assert "Skipping was not measured: no GPU." in page
    assert "commit aaaaaaaaaaaa\n" in page
    assert "![growth](images/growth.svg)" in page
    assert (bench.PAGE.parent / "images" / "growth.svg").read_text() == "<svg>a plot</svg>"
    assert "not figures to quote" not in page


def test_what_was_measured_again_replaces_its_own_rows(bench, monkeypatch):
    assert bench.main(["--only", "good", "failing"]) == 1
    later = HERE | {"code": {"commit": "bbbbbbbbbbbb", "dirty": True}}
    monkeypatch.setattr(bench, "where", lambda root: later)
    monkeypatch.setattr(bench, "now", lambda: "2999-01-01 00:00 UTC")
    assert bench.main(["--only", "skipping"]) == 0
    page = bench.PAGE.read_text("utf-8")
    assert "2999-01-01 00:00 UTC, commit bbbbbbbbbbbb, with changes that are not committed" in page
    (row,) = [line for line in page.splitlines() if line.startswith("| Good | a rate")]
    assert "a rate [commit aaaaaaaaaaaa; " in row
    assert bench.main(["--only", "good"]) == 0
    page = bench.PAGE.read_text("utf-8")
    assert page.count("| Good | a rate |") == 1
    assert "| Failing | its first row [commit aaaaaaaaaaaa; " in page
    assert "Failing failed: ValueError" in page
    written = page, bench.RESULTS.read_text("utf-8")
    assert bench.main(["--only"]) == 0
    assert (bench.PAGE.read_text("utf-8"), bench.RESULTS.read_text("utf-8")) == written


def test_another_machine_is_told(bench, monkeypatch):
    assert bench.main(["--only", "good"]) == 0
    other = {"machine": HERE["machine"] | {"gpu": "A GPU"}, "versions": HERE["versions"] | {"gensim": "4.5"}}
    monkeypatch.setattr(bench, "where", lambda root: HERE | other)
    monkeypatch.setattr(bench, "now", lambda: "2999-01-01 00:00 UTC")
    assert bench.main(["--only", "skipping"]) == 0
    page = bench.PAGE.read_text("utf-8")
    assert "a rate [on A CPU, 2 cores, GPU: none; with gensim 4.4.0; " in page


def test_quick_writes_no_results_and_only_the_page_it_is_told_to(bench, tmp_path, capsys):
    assert bench.main(["--quick", "--only", "good"]) == 0
    assert "not figures to quote" in capsys.readouterr().out
    assert not bench.PAGE.exists()
    assert bench.main(["--quick", "--only", "good", "--output", str(tmp_path / "here" / "page.md")]) == 0
    assert "not figures to quote" in (tmp_path / "here" / "page.md").read_text("utf-8")
    assert "quick: True" in (tmp_path / "here" / "page.md").read_text("utf-8")
    assert not bench.PAGE.exists()
    assert not bench.RESULTS.exists()


def test_an_interruption_keeps_what_was_measured_and_leaves_no_process(bench, monkeypatch):
    write = bench.write

    def interrupted(*arguments):
        write(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(bench, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bench.main(["--only", "waiting"])
    stored = json.loads(bench.RESULTS.read_text("utf-8"))["waiting"]
    (figure,) = stored["figures"]
    assert stored["problem"].startswith("interrupted")
    with pytest.raises(ProcessLookupError):
        os.kill(int(figure["ours"][0]), 0)


def test_an_unknown_section_is_refused(bench, capsys):
    with pytest.raises(SystemExit) as ended:
        bench.main(["--only", "god"])
    assert ended.value.code == 2
    assert "'god'" in capsys.readouterr().err


def test_every_section_is_there(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    for name in importlib.import_module("sections").SECTIONS:
        assert (BENCH / f"{name}.py").is_file(), name


@pytest.fixture
def task(monkeypatch, tmp_path):
    """200 tweets whose first word is their label, 50 of them to test with; and the modules that made it."""
    monkeypatch.syspath_prepend(str(BENCH))
    tweets = importlib.import_module("tweets")
    tokens = [[("sad", "glad")[row % 2], f"word{row % 7}"] for row in range(200)]
    data = tweets.Labelled([" ".join(tweet) for tweet in tokens], [row % 2 for row in range(200)], "made up")
    return tweets, data, *tweets.encode(data, tokens, 150, 1)


def test_tweets_as_both_sides_read_them(task, tmp_path):
    tweets, data, encoded, vocabulary = task
    assert (len(encoded.train), len(encoded.test), encoded.classes) == (150, 50, 2)
    ids = encoded.test.ids.reshape(50, 2)
    assert [vocabulary.words[id] for id in ids[1]] == data.texts[151].split()
    assert encoded.test.labels_N.tolist() == data.labels[150:]
    assert tweets.write_corpus(tmp_path / "corpus.txt", [["so", "glad"], [], ["sad"]]) == (2, 3)
    assert (tmp_path / "corpus.txt").read_text() == "so glad\nsad\n"
    floret = pytest.importorskip("floret")
    file = tmp_path / "train.txt"
    tweets.write_fasttext(file, data.texts[:150], data.labels[:150])
    model = floret.train_supervised(input=str(file), mode="fasttext", dim=8, bucket=0, epoch=30, thread=1, verbose=0)
    assert tweets.fasttext_accuracy(model, data.texts[150:], data.labels[150:]) == 1.0
    assert tweets.fasttext_accuracy(model, data.texts[150:], [1 - label for label in data.labels[150:]]) == 0.0


def test_generated_tweets_stand_in_for_absent_ones(task, measure, tmp_path):
    tweets = task[0]
    scale = measure.Scale(True, 1, None, tmp_path)
    texts, labels, note = tweets.labelled(scale, 40)
    assert (len(texts), set(labels)) == (40, {0, 1})
    assert "generated" in note
    lines, note = tweets.unlabelled(scale, 30)
    assert len(set(lines)) > 20
    assert "generated" in note


def test_the_lightning_peer_is_the_same_model(task, monkeypatch):
    pytest.importorskip("pytorch_lightning")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its imports
        peer = importlib.import_module("lightning_peer")
    _, _, encoded, vocabulary = task
    config = compose(["embedding=random_trainable", "train.max_epochs=4", "train.lr_head=0.1", "model.dropout=0.5"])
    rows_VD = np.random.default_rng(0).normal(0, 0.3, (len(vocabulary.words), 6)).astype(np.float32)
    rows_VD[0] = 0
    run = Run(rows_VD, config.embedding, np.arange(150), 0, config.model, config.train)
    ids, starts, labels = peer.collate([peer.Tweets(encoded.test, [3, 0])[row] for row in (0, 1)])
    assert (ids.tolist(), starts.tolist()) == (encoded.test.ids[[6, 7, 0, 1]].tolist(), [0, 2])
    assert labels.tolist() == encoded.test.labels_N[[3, 0]].tolist()
    theirs = peer.MeanClassifier(run, 2).eval()
    ours = Classifier(Embedding(torch.from_numpy(rows_VD)), config.model, 2, torch.Generator())
    ours.load_state_dict({"embedding.rows_VD": torch.from_numpy(rows_VD), **theirs.head.state_dict(prefix="head.")})
    assert torch.allclose(theirs(ids, starts), ours(take(encoded.test, torch.tensor([3, 0]))), atol=1e-6)
    assert peer.train(encoded, run) == 1.0


def test_a_run_compared_with_scikit_learn(task, measure):
    _, _, encoded, vocabulary = task
    section = importlib.import_module("many_runs")
    config = compose(["embedding=cbow_frozen", "train.max_epochs=20", "train.lr_head=0.1", "train.device=cpu"])
    rows_VD = np.random.default_rng(0).normal(0, 1, (len(vocabulary.words), 6)).astype(np.float32)
    rows_VD[0] = 0
    run = Run(rows_VD, config.embedding, np.arange(150), 0, config.model, config.train)
    found = section._compare_with_scikit_learn(encoded, run, 2, "made up")
    assert (len(found.ratios), found.target) == (2, "")
    assert "accuracy on 50 more: ours 1.000, scikit-learn 1.000" in found.note


def test_without_a_gpu_what_is_missing_is_told(task, measure, monkeypatch, tmp_path):
    section = importlib.import_module("stacked")
    monkeypatch.setattr(section, "SETTINGS", (*section.SETTINGS, "train.max_epochs=1", "train.device=cpu"))
    monkeypatch.setattr(section, "resolve_device", lambda name: torch.device("cpu"))
    rows = section.figures(measure.Scale(True, 1, None, tmp_path))
    assert next(rows).target == ""
    with pytest.raises(measure.Skipped, match=r"no GPU: .*≥ 20 ×.*≥ 50 %"):
        next(rows)


def test_stacked_runs_and_their_bandwidth_on_a_simulated_gpu(task, measure, monkeypatch, tmp_path):
    section = importlib.import_module("stacked")
    monkeypatch.setattr(section, "SETTINGS", (*section.SETTINGS, "train.max_epochs=1", "train.min_epoch_steps=1"))
    with simulated_gpu() as gpu:
        runs, bandwidth = section.figures(measure.Scale(True, 1, None, tmp_path))
    assert gpu.replayed > 50
    assert (runs.what.split()[0], runs.target) == ("12", "≥ 20 ×")
    assert runs.note.startswith(NAME)
    assert "test accuracies differ by 0.0" in runs.note
    assert (bandwidth.unit, bandwidth.target) == ("GB/s", "≥ 50 %")
    assert 0 < bandwidth.ours[0] < 1_000
    assert bandwidth.theirs[0] > 0


def test_place_and_versions(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    found = importlib.import_module("store").where(ROOT)
    assert found["machine"]["cores"] == len(os.sched_getaffinity(0))
    assert found["machine"]["memory_gib"] > 0.1
    assert found["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["versions"]["gensim"][0].isdigit()


@pytest.mark.slow
def test_all_sections_run_to_the_end():
    done = subprocess.run(
        [sys.executable, BENCH, "--quick"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=900
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "not figures to quote" in done.stdout
