"""Classifiers trained together, as a study on a GPU does, are those trained one by one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.classifier import engine
from pipeline.config.compose import compose
from pipeline.runtime.errors import RunError
from pipeline.runtime.files import read_json
from pipeline.runtime.worker_pool import WorkerPool
from pipeline.stages import run as stages
from pipeline.study import jobs as batches
from pipeline.study.jobs import Training, Trial

TINY = (
    "data.sample.labelled=300",
    "data.sample.unlabelled=0",
    "embedding.dim=8",
    "train.device=cpu",
    "train.max_epochs=2",
    "train.min_epoch_steps=10",
    "probe.similarity=[]",
    "tracking.enabled=false",
)
RATES = (0.01, 0.03)
Asked = list[tuple[bool, list[int]]]


def work(root: Path, kind: type[Trial], *more: Any) -> dict[tuple[float, int], Trial]:
    found = {}
    for rate in RATES:
        for seed in (0, 1):
            config = compose([*TINY, f"paths.root={root}", f"train.lr_head={rate}", f"seed={seed}"])
            found[rate, seed] = kind(config, stages.prepare(config), None, *more)
    return found


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What the engine was asked for: of each batch whether it had the test split, and the seeds of its runs."""
    calls: Asked = []
    train_batch = engine.train_batch

    def spy(task: engine.Task, runs: Sequence[engine.Run], *args: Any, **kwargs: Any) -> Any:
        calls.append((task.test is not None, [run.seed for run in runs]))
        return train_batch(task, runs, *args, **kwargs)

    monkeypatch.setattr(engine, "train_batch", spy)
    return calls


def on_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "device_used", lambda config: "cuda")


def test_trials_together_have_the_outcomes_they_have_alone(
    tmp_path: Path, asked: Asked, monkeypatch: pytest.MonkeyPatch
):
    with WorkerPool(1) as workers:
        alone = batches.do(workers, work(tmp_path / "alone", Trial), "trials")
        assert asked == [(False, [seed]) for _ in RATES for seed in (0, 1)]
        asked.clear()
        on_gpu(monkeypatch)
        together = batches.do(workers, work(tmp_path / "together", Trial), "trials")
        assert asked == [(False, [0, 1, 0, 1])]
        asked.clear()
        again = batches.do(workers, work(tmp_path / "together", Trial), "trials")
    assert asked == []
    outcomes = [{key: found.get().outcome for key, found in done.items()} for done in (alone, together, again)]
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert len({outcome["score"] for outcome in outcomes[0].values()}) > 1


def test_only_what_is_missing_is_trained(tmp_path: Path, asked: Asked, monkeypatch: pytest.MonkeyPatch):
    pieces = work(tmp_path, Training, [])
    first = pieces[RATES[0], 1].do()
    alone = read_json(first / "metrics.json")
    asked.clear()
    on_gpu(monkeypatch)
    with WorkerPool(1) as workers:
        done = batches.do(workers, pieces, "runs")
    assert asked == [(True, [0, 0, 1])]
    assert list(done) == list(pieces)
    assert done[RATES[0], 1].value == first
    assert len({found.value for found in done.values()}) == len(pieces)
    assert read_json(first / "metrics.json") == alone


def test_records_of_runs_trained_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def metrics(root: Path) -> list[dict[str, float]]:
        with WorkerPool(1) as workers:
            done = batches.do(workers, work(root, Training, []), "runs")
        return [read_json(found.get() / "metrics.json") for found in done.values()]

    alone = metrics(tmp_path / "alone")
    on_gpu(monkeypatch)
    assert metrics(tmp_path / "together") == alone


def test_a_run_that_diverges_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    train_batch = engine.train_batch

    def diverge(task: engine.Task, runs: Sequence[engine.Run], *args: Any, **kwargs: Any) -> list[Any]:
        found: list[Any] = list(train_batch(task, runs, *args, **kwargs))
        found[1] = RunError("the training loss is nan")
        return found

    monkeypatch.setattr(engine, "train_batch", diverge)
    on_gpu(monkeypatch)
    with WorkerPool(1) as workers:
        done = batches.do(workers, work(tmp_path / "runs", Training, []), "runs")
        tried = batches.do(workers, work(tmp_path / "trials", Trial), "trials")
    assert [found.reason for found in done.values()] == [None, "the training loss is nan", None, None]
    assert [found.get().outcome["score"] is None for found in tried.values()] == [False, True, False, False]


def test_a_batch_holds_what_memory_allows_and_only_runs_on_the_same_splits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pieces = work(tmp_path, Trial)
    config = compose([*TINY, f"paths.root={tmp_path}", "data.split_seed=1"])
    other = Trial(config, stages.prepare(config), None)
    keys = list(pieces)
    assert list(batches.batches({keys[0]: pieces[keys[0]], "other": other, keys[1]: pieces[keys[1]]})) == [
        [keys[0], keys[1]],
        ["other"],
    ]
    words = pieces[keys[0]].prepared.outcome["vocabulary"]["types_kept"] + 2
    monkeypatch.setattr(batches, "BATCH_BYTES", 3 * 2 * 4 * 8 * words)
    assert list(batches.batches(pieces)) == [keys[:3], keys[3:]]
    monkeypatch.setattr(batches, "BATCH_BYTES", 1)
    assert [len(batch) for batch in batches.batches(pieces)] == [1, 1, 1, 1]
