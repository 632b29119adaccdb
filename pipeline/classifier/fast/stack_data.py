"""Inputs of a stack of runs: texts and embedding matrices or pooled features on the device; memory limits.

Shapes: see `stack_step`; V is the vocabulary.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from pipeline.classifier.batch import Texts
from pipeline.classifier.fast.dropout import tweets_per_draw
from pipeline.classifier.fast.stack_step import FrozenMeans, TrainableRows
from pipeline.classifier.run_spec import Run, Task

# Share of a GPU's free memory for a stack; the rest is for copies of runs that end, and for the allocator.
MEMORY_SHARE = 0.6
# Bytes for the batches of the steps that are packed together, and for features at evaluation.
PACKED_BYTES = 2**29
EVALUATION_BYTES = 2**28
FLOAT_BYTES = 4


@dataclass(frozen=True)
class Corpus:
    """The splits of a task, with new ids from 1 for the words of these texts only, training words first.

    words_W : the vocabulary id of each word; word 0 is spare. train_words : L, including word 0. longest_N : lengths of
    the training tweets in tokens, longest first.
    """

    splits: dict[str, Texts]
    words_W: NDArray[np.int64]
    train_words: int
    longest_N: NDArray[np.int64]

    @classmethod
    def of(cls, task: Task, device: torch.device) -> "Corpus":
        """Renumber the words and move the splits to the device."""
        named = {"train": task.train, "validation": task.validation, "test": task.test}
        splits = {name: texts.to(torch.device("cpu")) for name, texts in named.items() if texts is not None}
        ids = {name: np.unique(texts.ids.numpy()) for name, texts in splits.items()}
        unseen = np.setdiff1d(np.concatenate(list(ids.values())), ids["train"])
        words_W = np.concatenate([[0], ids["train"], unseen]).astype(np.int64)
        new_id_V = np.zeros(words_W.max() + 1, dtype=np.int32)
        new_id_V[words_W[1:]] = np.arange(1, len(words_W))
        renumbered = {
            name: Texts(torch.from_numpy(new_id_V[texts.ids.numpy()]), texts.offsets, texts.labels_N.long()).to(device)
            for name, texts in splits.items()
        }
        lengths_N = np.diff(splits["train"].offsets.numpy())
        return cls(renumbered, words_W, 1 + len(ids["train"]), np.sort(lengths_N)[::-1])


def stack_embeddings(corpus: Corpus, runs: Sequence[Run], device: torch.device) -> TrainableRows | FrozenMeans:
    """The embedding matrices of trainable runs, or the pooled features of frozen ones; `runs` are all of one kind."""
    if runs[0].trainable:
        shape = (len(corpus.words_W), len(runs), runs[0].embedding_VD.shape[1])
        rows_WRD = torch.empty(shape, dtype=torch.float32, device=device)
        for index, run in enumerate(runs):
            rows_WRD[:, index] = torch.from_numpy(run.embedding_VD[corpus.words_W]).to(device)
        rows_WRD[0] = 0
        return TrainableRows(rows_WRD, corpus.train_words)
    matrices = {id(run.embedding_VD): np.ascontiguousarray(run.embedding_VD) for run in runs}
    digest_by_id = {key: hashlib.blake2b(matrix_VD.data).digest() for key, matrix_VD in matrices.items()}
    digests = [digest_by_id[id(run.embedding_VD)] for run in runs]
    distinct = list(dict.fromkeys(digests))
    means: dict[str, list[Tensor]] = {name: [] for name in corpus.splits}
    for digest in distinct:
        run = runs[digests.index(digest)]
        rows_WD = torch.from_numpy(run.embedding_VD[corpus.words_W]).to(device)
        for name, texts in corpus.splits.items():
            starts_N = texts.offsets[:-1].int()
            means[name].append(F.embedding_bag(texts.ids, rows_WD, starts_N, mode="mean"))
    matrix_R = torch.tensor([distinct.index(digest) for digest in digests], device=device)
    return FrozenMeans(matrix_R, {name: torch.stack(means_ND) for name, means_ND in means.items()})


def run_bytes(corpus: Corpus, run: Run) -> int:
    """Bytes that one run takes in a stack, at most.

    Trainable: the rows of all words; for training words two moments and the best epoch's rows; the tokens and tweets of
    a step. Frozen: pooled features of all splits, if no other run shares them. Both: dropout masks, a byte per number.
    """
    batch, dim = run.train.batch_size, int(run.embedding_VD.shape[1])
    if run.trainable:
        state = len(corpus.words_W) + 3 * corpus.train_words
        step = 8 * batch + 4 * int(corpus.longest_N[:batch].sum())
    else:
        state, step = sum(map(len, corpus.splits.values())), 8 * batch
    masks = min(tweets_per_draw(batch), len(corpus.splits["train"])) if run.model.dropout else 0
    return dim * (FLOAT_BYTES * (state + step) + masks)


def stack_size(corpus: Corpus, run: Run, device: torch.device) -> int:
    """The largest number of such runs in a stack: by int32 row numbers and, on a GPU, by its free memory."""
    batch_tokens = int(corpus.longest_N[: run.train.batch_size].sum())
    countable = (2**31 - 1) // max(len(corpus.words_W), 2 * batch_tokens)
    if device.type != "cuda":
        return countable
    free = torch.cuda.mem_get_info(device)[0]
    free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    available = MEMORY_SHARE * free - PACKED_BYTES - 3 * EVALUATION_BYTES
    return max(1, min(countable, int(available // run_bytes(corpus, run))))


def steps_per_pack(corpus: Corpus, run: Run, runs: int) -> int:
    """Steps of a stack that are packed together: they take a byte per feature of a tweet, some hundred per token."""
    tokens = int(corpus.longest_N[: run.train.batch_size].sum()) if run.trainable else 0
    step_bytes = runs * (run.train.batch_size * int(run.embedding_VD.shape[1]) + 100 * tokens)
    return max(1, PACKED_BYTES // step_bytes)
