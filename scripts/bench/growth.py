"""Growth: generated tweets through `prepare` and `train`, ten times as many from one size to the next.

Each stage is a process of its own; time is wall time from its start to its end, memory the largest sum of anonymous
memory (what cannot be read again from a file) of it and the processes it started; what these share counts once. One
epoch, no MLflow.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
from matplotlib.figure import Figure as Drawing
from measure import Figure, Scale

ROOT = Path(__file__).resolve().parents[2]
FULL, QUICK = (10_000, 100_000, 1_000_000, 10_000_000), (1_000, 3_000, 10_000)
GROWS = {
    "prepare": "each process's table of chunks, which fills up to a bound, and some 10 bytes a tweet for the splits",
    "train": "16 bytes a tweet, its place in the order and its prediction",
}
STAGES = tuple(GROWS)
EVERY = 0.05  # seconds between two looks at the memory
SETTINGS = (
    *("data.sample.unlabelled=0", "embedding=random_trainable", "train.max_epochs=1", "train.patience=null"),
    *("train.threads=1", "train.device=cpu", "tracking.enabled=false"),
)

Measured = Mapping[tuple[str, int], tuple[float, float]]  # by stage and tweets: seconds, MiB


def figures(scale: Scale) -> Iterator[Figure]:
    """Time and memory of each stage at the largest size, beside what smaller sizes promise; and their drawing."""
    sizes = QUICK if scale.quick else FULL
    found: dict[tuple[str, int], tuple[float, float]] = {}
    for size in sizes:
        for stage in STAGES:
            found[stage, size] = measured(scale, stage, size)
    draw(found, sizes, scale.folder / "growth.svg")
    *_, low, middle, high = sizes
    for stage in STAGES:
        times = {size: found[stage, size][0] for size in sizes}
        slope = max(0.0, (times[middle] - times[low]) / (middle - low))  # a few thousand tweets are lost in the noise
        yield Figure(
            "Growth", f"{stage}, {high:,} tweets", "seconds", (times[high],),
            f"the line through {low:,} and {middle:,} tweets", (times[middle] + slope * (high - middle),), "≤ 1.1 ×",
            note=f"{scale.cores} cores; {1e6 * slope:.1f} µs per tweet and {times[low] - slope * low:.1f} s besides",
        )  # fmt: skip
    base = sizes[-2]  # below it, few tweets are prepared by one process alone
    for stage in STAGES:
        memory = {size: found[stage, size][1] for size in sizes}
        each = (memory[high] - memory[base]) * 2**20 / (high - base)
        yield Figure(
            "Growth", f"{stage}, peak anonymous memory, {high:,} tweets", "MiB", (memory[high],),
            f"the same at {base:,} tweets", (memory[base],), "≤ 1.5 ×",
            note=f"{each:.0f} bytes for each further tweet; flat but for {GROWS[stage]}, hence the bound of 1.5 ×; "
            "of the text, some 80 bytes a tweet, nothing is held",
        )  # fmt: skip


def measured(scale: Scale, stage: str, size: int) -> tuple[float, float]:
    """Seconds and peak anonymous memory in MiB of one stage; what it reads is there."""
    place = (f"paths.root={scale.folder / str(size)}", f"workers={scale.cores}", f"data.sample.labelled={size}")
    began, peak = time.perf_counter(), 0.0
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", f"stage={stage}", *place, *SETTINGS],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    while process.poll() is None:
        peak = max(peak, anonymous(process.pid))
        time.sleep(EVERY)
    seconds = time.perf_counter() - began
    said = process.stderr.read() if process.stderr else ""
    if process.stderr:
        process.stderr.close()
    if process.returncode:
        raise RuntimeError(f"stage={stage}, {size:,} tweets: exit code {process.returncode}: {said.splitlines()[-1:]}")
    return seconds, peak


def anonymous(pid: int) -> float:
    """Anonymous memory in MiB of a process and of those that it started."""
    total = 0
    try:
        pids = [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    except psutil.NoSuchProcess:
        return 0.0
    for one in pids:
        try:
            status = Path(f"/proc/{one}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("Pss_Anon:"))
    return total / 1024


def draw(found: Measured, sizes: tuple[int, ...], path: Path) -> None:
    """Draw time and memory against tweets, axes logarithmic, and what time in proportion to the tweets would be."""
    drawing = Drawing(figsize=(9, 3.6), layout="constrained")
    left, right = drawing.subplots(1, 2)
    for number, (axes, unit) in enumerate(((left, "seconds"), (right, "peak anonymous memory, MiB"))):
        for stage, colour in zip(STAGES, ("#1f5a94", "#b5651d"), strict=True):
            axes.loglog(sizes, [found[stage, size][number] for size in sizes], "o-", color=colour, label=stage)
        axes.set_xlabel("tweets")
        axes.set_ylabel(unit)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    last = found[STAGES[0], sizes[-1]][0]
    left.loglog(sizes, [last * size / sizes[-1] for size in sizes], ":", color="#777777", label="in proportion")
    right.set_ylim(bottom=10)
    left.legend(frameon=False)
    drawing.savefig(path, format="svg", metadata={"Date": None})
