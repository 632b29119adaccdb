"""The runs of a stack, and their epochs together.

Shapes: as in `stacked_batches` and `stacked_step`.
"""

import math
from collections.abc import Collection, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.classifier.device import stream
from pipeline.classifier.fast.cuda_graphs import Recordings
from pipeline.classifier.fast.dropout import Dropout
from pipeline.classifier.fast.stack_batches import Batch, Sizes, plan_batches
from pipeline.classifier.fast.stack_data import Corpus, make_source, steps_at_once
from pipeline.classifier.fast.stack_step import Moving, Rates, Stack
from pipeline.classifier.model import Classifier, Embedding
from pipeline.classifier.run_spec import Run
from pipeline.classifier.trainer import class_weights
from pipeline.classifier.training_state import Course


def draw_epoch(course: Course) -> NDArray[np.int64]:
    """Training rows (steps, B) of a run's next epoch, as it draws them alone; -1 fills a pass's last batch up."""
    run, settings = course.run, course.run.train
    drawn = np.full((run.passes, run.steps_per_pass * settings.batch_size), -1, dtype=np.int64)
    for one_pass, places_N in zip(drawn, course.orders(), strict=True):
        one_pass[: len(run.rows_N)] = run.rows_N[places_N.numpy()]
    tweets_KB = drawn.reshape(-1, settings.batch_size)
    return tweets_KB if settings.max_steps is None else tweets_KB[: settings.max_steps - course.step]


class Stacked:
    """Runs that train together on one device."""

    def __init__(self, corpus: Corpus, runs: Sequence[Run], classes: int, device: torch.device) -> None:
        self.corpus, self.device = corpus, device
        self.courses = [Course(run, device) for run in runs]
        train = corpus.splits["train"]
        heads, weights, labels_N = [], [], train.labels_N.cpu()
        for run in runs:
            tiny = Embedding(torch.zeros(1, run.embedding_VD.shape[1]))
            head = Classifier(tiny, run.model, classes, stream(run.seed, "initial weights")).head
            heads.append(torch.cat([head.weight.detach().T, head.bias.detach()[None]]))
            own = class_weights(labels_N[torch.from_numpy(run.rows_N)], classes, run.train.class_weights)
            weights.append(torch.ones(classes) if own is None else own)
        settings = [run.train for run in runs]

        def numbers(values: Sequence[float]) -> torch.Tensor:
            return torch.tensor(values, dtype=torch.float64, device=device)

        rates = Rates(
            lr_embedding_R=numbers([one.lr_embedding for one in settings]),
            lr_head_R=numbers([one.lr_head for one in settings]),
            decay_R=numbers([one.weight_decay for one in settings]),
            clip_R=numbers([math.inf if one.clip_norm is None else one.clip_norm for one in settings]),
            total_R=numbers([course.rate_falls_over for course in self.courses]),
            dropout_R=numbers([run.model.dropout for run in runs]),
            weights_RC=torch.stack(weights).to(device),
        )
        source = make_source(corpus, runs, device)
        self.stack = Stack(source, torch.stack(heads).to(device), rates, train.labels_N)
        self.recordings = Recordings(device)
        self.inputs: dict[Sizes, tuple[torch.Tensor, torch.Tensor]] = {}
        self.least = (0, 0)  # tokens and rows of the largest steps so far

    def take_step(self, numbers: torch.Tensor, kept_RBD: torch.Tensor, sizes: Sizes) -> None:
        """One step of all runs: the batch goes into the buffers that the step reads, then the step is called."""
        if sizes not in self.recordings.functions:
            buffer, kept = torch.zeros_like(numbers), torch.ones_like(kept_RBD)
            batch = Batch.of(buffer, sizes)
            # A batch of no tweets, which changes nothing: no tweet has a token, so none reads the spare row.
            batch.tweets_RB.fill_(-1)
            self.recordings.record(sizes, lambda: self.stack.step(batch, kept))
            self.inputs[sizes] = buffer, kept
        buffer, kept = self.inputs[sizes]
        buffer.copy_(numbers)
        kept.copy_(kept_RBD)
        self.recordings.functions[sizes]()

    def dropouts(self) -> list[Dropout | None]:
        """Dropout of the runs in their next epoch; None for those that have none."""
        dim = self.stack.source.dim
        return [Dropout(one.run, dim, one.noise) if one.run.model.dropout else None for one in self.courses]

    def plan(
        self, tweets_KRB: NDArray[np.int64], dropouts: Sequence[Dropout | None]
    ) -> tuple[torch.Tensor, torch.Tensor, Sizes]:
        """Buffers, what dropout keeps (K, R, B, D), and sizes of the next steps."""
        moving = self.corpus.splits["train"] if isinstance(self.stack.source, Moving) else None
        kept_KRBD = torch.ones((*tweets_KRB.shape, self.stack.source.dim), dtype=torch.bool, device=self.device)
        for number, dropout in enumerate(dropouts):
            if dropout is not None:
                dropout.fill(kept_KRBD[: (tweets_KRB[:, number] >= 0).any(1).sum(), number])
        # Last, as it waits for the device.
        numbers, sizes = plan_batches(torch.from_numpy(tweets_KRB).to(self.device), moving, self.least)
        self.least = (max(sizes.tokens, self.least[0]), max(sizes.rows, self.least[1]))
        return numbers, kept_KRBD, sizes

    def train_epoch(self) -> list[float]:
        """One epoch of every run; returns mean losses per tweet."""
        drawn = [draw_epoch(course) for course in self.courses]
        run = self.courses[0].run
        tweets_KRB = np.full((max(map(len, drawn)), len(drawn), run.train.batch_size), -1, dtype=np.int64)
        for number, own in enumerate(drawn):
            tweets_KRB[: len(own), number] = own
        self.stack.loss_R.zero_()
        dropouts = self.dropouts()
        at_once = steps_at_once(self.corpus, run, len(drawn))
        for start in range(0, len(tweets_KRB), at_once):
            numbers, kept_KRBD, sizes = self.plan(tweets_KRB[start : start + at_once], dropouts)
            for step, kept_RBD in zip(numbers, kept_KRBD, strict=True):
                self.take_step(step, kept_RBD, sizes)
        seen_R = (tweets_KRB >= 0).sum((0, 2))
        for course, own in zip(self.courses, drawn, strict=True):
            course.step += len(own)
        return [float(loss) for loss in self.stack.loss_R.cpu().numpy() / seen_R]

    def leave(self, leaving: Collection[Course]) -> Stack:
        """The weights of some runs at their chosen epochs; the others go on without them."""
        places = [place for place, course in enumerate(self.courses) if course in leaving]
        staying = [place for place in range(len(self.courses)) if place not in places]
        left = self.stack.part(places) if staying else self.stack
        if "validation" in self.corpus.splits:
            left.restore()
        self.courses = [self.courses[place] for place in staying]
        self.recordings, self.inputs = Recordings(self.device), {}
        if staying:
            self.stack.keep_runs(staying)
        return left
