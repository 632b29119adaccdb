"""Start-up: the command line, a second run whose data and vectors are there already, and shares of a first run.

Each figure is the wall time of a command in a process of its own, from its start. The first training step of the second
run is over when its first epoch of one step, and the look at validation after it, are logged.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from measure import Figure, Scale

ROOT = Path(__file__).resolve().parents[2]
STARTED, AUDITED, RECORDED, LOGGED = "train: ", "audit: done", "train: done", "read "
ONE_STEP = ("data.label_budget=64", "train.batch_size=64", "train.min_epoch_steps=1", "train.max_epochs=1")


def figures(scale: Scale) -> Iterator[Figure]:
    """Seconds to help, to a printed configuration, to a first training step; the audit's and MLflow's share of runs."""
    rounds = 1 if scale.quick else 5
    for flags in (("--help",), ("--cfg", "job")):
        seconds = tuple(said(flags)[""] for _ in range(rounds))
        yield Figure("Start-up", f"python -m pipeline {' '.join(flags)}", "seconds", seconds, "", (), "< 1 seconds")
    sample: tuple[str, ...] = (f"data.sample.labelled={2_000 if scale.quick else 10_000}",)
    sample += ("data.sample.unlabelled=0", "cbow.epochs=1") if scale.quick else ()
    place = (f"paths.root={scale.folder / 'cached'}", *sample)
    said([*place, *ONE_STEP, "embedding=cbow_frozen"])
    seconds = tuple(
        said([*place, *ONE_STEP, "embedding=cbow_finetuned", f"seed={seed}", "cbow.seed=0"], cores=1)["train: epoch 1"]
        for seed in range(rounds)
    )
    what = "second run (vectors and data there, another variant), to the end of its first training step, one core"
    yield Figure("Start-up", what, "seconds", seconds, "", (), "< 5 seconds")
    for recipe in ((), ("+experiment=cbow_frozen",)):
        shares, audits, lengths = [], [], []
        for number in range(1 if scale.quick else 3):
            place = (f"paths.root={scale.folder / f'fresh-{len(recipe)}-{number}'}", *sample)
            at = said([*place, *recipe])
            shares.append(100 * (at[LOGGED] - at[RECORDED]) / at[""])
            audits.append(100 * (at[AUDITED] - at[STARTED]) / at[""])
            lengths.append(at[""])
        what = f"of a first run ({' '.join(recipe) or 'default'})"
        note = f"whole runs of {', '.join(f'{length:.1f}' for length in lengths)} s, {scale.cores} cores, new store"
        yield Figure("Start-up", f"the audit's share {what}", "%", tuple(audits), "", (), "≤ 5 %", note)
        yield Figure(
            "Start-up",
            f"MLflow's share {what}, from its record to its end", "%", tuple(shares), "", (), "≤ 3 %", note,
        )  # fmt: skip


def said(arguments: Sequence[str], cores: int | None = None) -> dict[str, float]:
    """Run a command; seconds from its start to its end, under the empty string, and to the first line of each mark."""
    marks: dict[str, float] = {}
    allowed = sorted(os.sched_getaffinity(0))[:cores]
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", *arguments],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: os.sched_setaffinity(0, allowed),
    )  # fmt: skip
    lines = []
    with process:
        assert process.stderr is not None
        for line in process.stderr:
            lines.append(line)
            for mark in (STARTED, AUDITED, "train: epoch 1", RECORDED, LOGGED):
                if f"] {mark}" in line:
                    marks.setdefault(mark, time.perf_counter() - began)
    if process.returncode:
        raise RuntimeError(f"pipeline {' '.join(arguments)}: exit code {process.returncode}: {lines[-1:]}")
    return marks | {"": time.perf_counter() - began}
