"""Classifiers trained as one batch, as a study on a GPU does, equal those trained one by one."""

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
from pipeline.study import jobs
from pipeline.study.jobs import TrainingJob, TrialJob, batches, run_jobs

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
Calls = list[tuple[bool, list[int]]]


def jobs_of(root: Path, kind: type[TrialJob], *arguments: Any) -> dict[tuple[float, int], TrialJob]:
    by_key = {}
    for rate in RATES:
        for seed in (0, 1):
            config = compose([*TINY, f"paths.root={root}", f"train.lr_head={rate}", f"seed={seed}"])
            by_key[rate, seed] = kind(config, stages.prepare(config), {}, *arguments)
    return by_key


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """The batches that the engine trained: whether each had the test split, and the seeds of its runs."""
    calls: Calls = []
    train_batch = engine.train_batch

    def spy(task: engine.Task, runs: Sequence[engine.Run], *args: Any, **kwargs: Any) -> Any:
        calls.append((task.test is not None, [run.seed for run in runs]))
        return train_batch(task, runs, *args, **kwargs)

    monkeypatch.setattr(engine, "train_batch", spy)
    return calls


def on_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "device_used", lambda config: "cuda")


def test_trials_of_a_batch_have_the_outcomes_they_have_alone(
    tmp_path: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
):
    with WorkerPool(1) as workers:
        alone = run_jobs(workers, jobs_of(tmp_path / "alone", TrialJob), "trials")
        assert calls == [(False, [seed]) for _ in RATES for seed in (0, 1)]
        calls.clear()
        on_gpu(monkeypatch)
        batched = run_jobs(workers, jobs_of(tmp_path / "batched", TrialJob), "trials")
        assert calls == [(False, [0, 1, 0, 1])]
        calls.clear()
        again = run_jobs(workers, jobs_of(tmp_path / "batched", TrialJob), "trials")
    assert calls == []
    outcomes = [{key: result.get().outcome for key, result in results.items()} for results in (alone, batched, again)]
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert len({outcome["score"] for outcome in outcomes[0].values()}) > 1


def test_only_what_is_missing_is_trained(tmp_path: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch):
    by_key = jobs_of(tmp_path, TrainingJob, [])
    first = by_key[RATES[0], 1].finish()
    alone = read_json(first / "metrics.json")
    calls.clear()
    on_gpu(monkeypatch)
    with WorkerPool(1) as workers:
        results = run_jobs(workers, by_key, "runs")
    assert calls == [(True, [0, 0, 1])]
    assert list(results) == list(by_key)
    assert results[RATES[0], 1].value == first
    assert len({result.value for result in results.values()}) == len(by_key)
    assert read_json(first / "metrics.json") == alone


def test_records_of_runs_trained_as_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def metrics(root: Path) -> list[dict[str, float]]:
        with WorkerPool(1) as workers:
            results = run_jobs(workers, jobs_of(root, TrainingJob, []), "runs")
        return [read_json(result.get() / "metrics.json") for result in results.values()]

    alone = metrics(tmp_path / "alone")
    on_gpu(monkeypatch)
    assert metrics(tmp_path / "batched") == alone


def test_a_run_that_diverges_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    train_batch = engine.train_batch

    def diverge(task: engine.Task, runs: Sequence[engine.Run], *args: Any, **kwargs: Any) -> list[Any]:
        result: list[Any] = list(train_batch(task, runs, *args, **kwargs))
        result[1] = RunError("the training loss is nan")
        return result

    monkeypatch.setattr(engine, "train_batch", diverge)
    on_gpu(monkeypatch)
    with WorkerPool(1) as workers:
        results = run_jobs(workers, jobs_of(tmp_path / "runs", TrainingJob, []), "runs")
        trials = run_jobs(workers, jobs_of(tmp_path / "trials", TrialJob), "trials")
    assert [result.reason for result in results.values()] == [None, "the training loss is nan", None, None]
    assert [result.get().outcome["score"] is None for result in trials.values()] == [False, True, False, False]


def test_a_batch_holds_what_memory_allows_and_only_runs_on_the_same_splits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    by_key = jobs_of(tmp_path, TrialJob)
    config = compose([*TINY, f"paths.root={tmp_path}", "data.split_seed=1"])
    other = TrialJob(config, stages.prepare(config), {})
    keys = list(by_key)
    assert list(batches({keys[0]: by_key[keys[0]], "other": other, keys[1]: by_key[keys[1]]})) == [
        [keys[0], keys[1]],
        ["other"],
    ]
    words = by_key[keys[0]].prepared.outcome["vocabulary"]["types_kept"] + 2
    monkeypatch.setattr(jobs, "BATCH_BYTES", 3 * 2 * 4 * 8 * words)
    assert list(batches(by_key)) == [keys[:3], keys[3:]]
    monkeypatch.setattr(jobs, "BATCH_BYTES", 1)
    assert [len(batch) for batch in batches(by_key)] == [1, 1, 1, 1]
