"""One epoch of a stack of runs: draws the batches of each run, packs them, and replays the captured step.

Shapes: see `stack_batches` and `stack_step`.
"""

import math
from collections.abc import Callable, Collection, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.classifier.device import seeded_generator
from pipeline.classifier.fast.dropout import DropoutMasks
from pipeline.classifier.fast.stack_batches import Sizes, StackedBatch, pack_batches
from pipeline.classifier.fast.stack_data import Corpus, stack_embeddings, steps_per_pack
from pipeline.classifier.fast.stack_step import Hyperparameters, StackedModel, TrainableRows
from pipeline.classifier.model import Classifier, Embedding
from pipeline.classifier.run_spec import Run
from pipeline.classifier.trainer import class_weights
from pipeline.classifier.training_state import TrainingState

WARM_UP = 3


class CudaGraphs:
    """Captures functions, to be replayed many times.

    A function runs WARM_UP times on a side stream before its capture (see "CUDA Graphs" in torch's notes on CUDA
    semantics). Its buffers must then hold an input that changes nothing. The function must not synchronize with the
    device or draw random numbers, and must always use the shapes and tensors of its capture. All graphs share one
    memory pool: they must not run concurrently, or leave results in tensors that they allocate.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.pool = torch.cuda.graph_pool_handle() if device.type == "cuda" else None
        # One side stream for all graphs: cuBLAS keeps a workspace for every stream that it ran on.
        self.side_stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]

    def capture(self, function: Callable[[], None]) -> Callable[[], None]:
        """Capture `function`; returns the function that replays it."""
        if self.side_stream is None:
            return function
        self.side_stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self.side_stream):
            for _ in range(WARM_UP):
                function()
        torch.cuda.current_stream(self.device).wait_stream(self.side_stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool, stream=self.side_stream):
            function()
        replay: Callable[[], None] = graph.replay
        return replay


def epoch_tweets(state: TrainingState) -> NDArray[np.int64]:
    """Training tweets (K, B) of a run's next epoch, ordered as without a stack; -1 pads the last batch of a pass."""
    run, size = state.run, state.run.train.batch_size
    tweets = np.full((run.passes, run.steps_per_pass * size), -1, dtype=np.int64)
    for of_pass, order_N in zip(tweets, state.permutations(), strict=True):
        of_pass[: len(run.rows_N)] = run.rows_N[order_N.numpy()]
    return tweets.reshape(-1, size)[: state.epoch_steps]


class StackTrainer:
    """Runs that train as one stacked model on one device."""

    def __init__(self, corpus: Corpus, runs: Sequence[Run], classes: int, device: torch.device) -> None:
        self.corpus, self.device = corpus, device
        self.states = [TrainingState(run, device) for run in runs]
        heads, weights, labels_N = [], [], corpus.splits["train"].labels_N
        for run in runs:
            layer = Embedding(torch.zeros(1, run.embedding_VD.shape[1]))  # only the head is needed
            head = Classifier(layer, run.model, classes, seeded_generator(run.seed, "initial weights")).head
            heads.append(torch.cat([head.weight.detach().T, head.bias.detach()[None]]))
            weights_C = class_weights(labels_N.cpu()[torch.from_numpy(run.rows_N)], classes, run.train.class_weights)
            weights.append(torch.ones(classes) if weights_C is None else weights_C)
        settings = [run.train for run in runs]
        float64 = partial(torch.tensor, dtype=torch.float64, device=device)
        hyperparameters = Hyperparameters(
            lr_embedding_R=float64([train.lr_embedding for train in settings]),
            lr_head_R=float64([train.lr_head for train in settings]),
            weight_decay_R=float64([train.weight_decay for train in settings]),
            max_norm_R=float64([math.inf if train.clip_norm is None else train.clip_norm for train in settings]),
            schedule_steps_R=float64([state.schedule_steps for state in self.states]),
            dropout_R=float64([run.model.dropout for run in runs]),
            class_weights_RC=torch.stack(weights).to(device),
        )
        embedding = stack_embeddings(corpus, runs, device)
        self.model = StackedModel(embedding, torch.stack(heads).to(device), hyperparameters, labels_N)
        self.graphs = CudaGraphs(device)
        self.captured: dict[Sizes, tuple[Tensor, Tensor, Callable[[], None]]] = {}  # buffer, mask, replay
        self.min_sizes = (0, 0)  # tokens and rows of the largest steps so far

    def step(self, packed: Tensor, mask_RBD: Tensor, sizes: Sizes) -> None:
        """One step of all runs: copy the batch into the buffers of the captured step, then replay it."""
        if sizes not in self.captured:
            buffer, mask = torch.zeros_like(packed), torch.ones_like(mask_RBD)
            batch = StackedBatch.view(buffer, sizes)
            # A batch of no tweets, which changes nothing: no tweet has a token, so none reads the spare row.
            batch.tweets_RB.fill_(-1)
            self.captured[sizes] = buffer, mask, self.graphs.capture(lambda: self.model.step(batch, mask))
        buffer, mask, replay = self.captured[sizes]
        buffer.copy_(packed)
        mask.copy_(mask_RBD)
        replay()

    def dropout_masks(self) -> list[DropoutMasks | None]:
        """Dropout masks of the runs in their next epoch; None for a run without dropout."""
        dim = self.model.embedding.dim
        return [
            DropoutMasks(state.run, dim, state.dropout_rng) if state.run.model.dropout else None
            for state in self.states
        ]

    def pack(
        self, tweets_KRB: NDArray[np.int64], dropout_masks: Sequence[DropoutMasks | None]
    ) -> tuple[Tensor, Tensor, Sizes]:
        """Packed batches of the next steps, their dropout masks (K, R, B, D), and their sizes."""
        trainable = isinstance(self.model.embedding, TrainableRows)
        mask_KRBD = torch.ones((*tweets_KRB.shape, self.model.embedding.dim), dtype=torch.bool, device=self.device)
        for index, masks in enumerate(dropout_masks):
            if masks is not None:
                masks.fill(mask_KRBD[: (tweets_KRB[:, index] >= 0).any(1).sum(), index])
        # Last, as it synchronizes with the device.
        texts = self.corpus.splits["train"] if trainable else None
        packed, sizes = pack_batches(torch.from_numpy(tweets_KRB).to(self.device), texts, self.min_sizes)
        self.min_sizes = (max(sizes.tokens, self.min_sizes[0]), max(sizes.rows, self.min_sizes[1]))
        return packed, mask_KRBD, sizes

    def train_epoch(self) -> list[float]:
        """One epoch of every run; returns mean losses per tweet."""
        tweets = [epoch_tweets(state) for state in self.states]
        run = self.states[0].run
        tweets_KRB = np.full((max(map(len, tweets)), len(tweets), run.train.batch_size), -1, dtype=np.int64)
        for index, tweets_KB in enumerate(tweets):
            tweets_KRB[: len(tweets_KB), index] = tweets_KB
        self.model.loss_R.zero_()
        dropout_masks = self.dropout_masks()
        steps = steps_per_pack(self.corpus, run, len(tweets))
        for start in range(0, len(tweets_KRB), steps):
            packed, mask_KRBD, sizes = self.pack(tweets_KRB[start : start + steps], dropout_masks)
            for packed_step, mask_RBD in zip(packed, mask_KRBD, strict=True):
                self.step(packed_step, mask_RBD, sizes)
        counts_R = (tweets_KRB >= 0).sum((0, 2))
        for state, tweets_KB in zip(self.states, tweets, strict=True):
            state.step += len(tweets_KB)
        return [float(loss) for loss in self.model.loss_R.cpu().numpy() / counts_R]

    def remove(self, states: Collection[TrainingState]) -> StackedModel:
        """Remove some runs from the stack; returns their models at the best epochs."""
        removed = [index for index, state in enumerate(self.states) if state in states]
        remaining = [index for index in range(len(self.states)) if index not in removed]
        model = self.model.copy_of_runs(removed) if remaining else self.model
        if "validation" in self.corpus.splits:
            model.restore_best()
        self.states = [self.states[index] for index in remaining]
        self.graphs, self.captured = CudaGraphs(self.device), {}
        if remaining:
            self.model.select_runs(remaining)
        return model
