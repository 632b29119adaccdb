"""Peak memory of training an embedding matrix of 10^6 words × 300 dimensions, every word of which is trained.

The memory is that of the whole process, with Python and libraries, from the initial matrix to the run's result.
"""

import json
import subprocess
import sys
from collections.abc import Iterator

from measure import Figure, Scale

LIMIT_GIB = 8
TWEET = 20


def figures(scale: Scale) -> Iterator[Figure]:
    """Peak memory, its limit, and the size of the necessary arrays."""
    words, dim, epochs = (100_000, 50, 2) if scale.quick else (1_000_000, 300, 3)
    command = [sys.executable, __file__, str(words), str(dim), str(epochs)]
    result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    matrix_gib = words * dim * 4 / 2**30
    yield Figure(
        "Large table",
        f"{words:,} words × {dim} dimensions, peak memory",
        "GiB",
        (result["peak_gib"],),
        "",
        (),
        f"≤ {LIMIT_GIB} GiB",
        f"{result['touched']:,} words trained by {result['tweets']:,} tweets, {epochs} epochs in "
        f"{result['seconds']:.0f} s on one thread, epoch {result['chosen']} chosen; one matrix takes "
        f"{matrix_gib:.2f} GiB, and five are needed: initial and current, two moments, the best epoch so far",
    )


def _train(words: int, dim: int, epochs: int) -> None:
    """In the child process: train every row and print the peak memory."""
    import resource

    import numpy as np

    from pipeline.classifier.batch import Texts
    from pipeline.classifier.engine import Run, Task, train_run
    from pipeline.config.compose import compose

    rng = np.random.default_rng(0)
    initial_VD = rng.standard_normal((words, dim), np.float32)
    initial_VD /= np.float32(dim**0.5)
    initial_VD[0] = 0
    ids = rng.permutation(np.arange(1, words, dtype=np.int32))
    ids = ids[: len(ids) // TWEET * TWEET]

    def split(ids: np.ndarray) -> Texts:
        labels = (ids.reshape(-1, TWEET) % 2).sum(1) > TWEET // 2
        return Texts.from_arrays(ids, np.arange(0, len(ids) + 1, TWEET), labels)

    held_out = split(rng.choice(ids, 100 * TWEET))
    task = Task(split(ids), held_out, held_out, 2)
    config = compose(
        ["embedding=random_trainable", "train.device=cpu", f"train.max_epochs={epochs}", "train.batch_size=1024"]
    )
    rows_N = np.arange(len(task.train))
    result = train_run(task, Run(initial_VD, config.embedding, rows_N, 0, config.model, config.train))
    assert result.embedding_VE.shape == (words, dim)
    summary = {
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "touched": int(result.touched_V.sum()),
        "tweets": len(rows_N),
        "seconds": result.seconds,
        "chosen": result.chosen_epoch,
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    _train(*map(int, sys.argv[1:]))
