"""What a stack of runs reads: texts on the device, rows or pooled features; and how many runs fit on it.

Shapes: as in `stacked_step`; `V` the vocabulary, `N` tweets of a split.
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
from pipeline.classifier.fast.dropout import chunk
from pipeline.classifier.fast.stack_step import Moving, Pooled
from pipeline.classifier.run_spec import Run, Task

# Memory of a GPU that a stack may take; the rest is for runs that leave it, which are copied, and for the allocator.
SHARE_OF_MEMORY = 0.6
# Bytes for the batches of several steps that are drawn and sorted together, and for features at evaluation.
PLANNED_BYTES = 2**29
EVALUATED_BYTES = 2**28
FLOAT = 4


@dataclass(frozen=True)
class Corpus:
    """The splits of a task with ids that count the words of these texts alone, from 1, training words first.

    words_W : the vocabulary id of each word; word 0 is none. train_words : U, word 0 with them. longest_N : lengths of
    the training tweets in tokens, longest first.
    """

    splits: dict[str, Texts]
    words_W: NDArray[np.int64]
    train_words: int
    longest_N: NDArray[np.int64]

    @classmethod
    def of(cls, task: Task, device: torch.device) -> "Corpus":
        """Number the words and move the splits to the device."""
        named = {"train": task.train, "validation": task.validation, "test": task.test}
        splits = {name: texts.to(torch.device("cpu")) for name, texts in named.items() if texts is not None}
        seen = {name: np.unique(texts.ids.numpy()) for name, texts in splits.items()}
        rest = np.setdiff1d(np.concatenate(list(seen.values())), seen["train"])
        words_W = np.concatenate([[0], seen["train"], rest]).astype(np.int64)
        number_V = np.zeros(words_W.max() + 1, dtype=np.int32)
        number_V[words_W[1:]] = np.arange(1, len(words_W))
        counted = {
            name: Texts(torch.from_numpy(number_V[texts.ids.numpy()]), texts.offsets, texts.labels_N.long()).to(device)
            for name, texts in splits.items()
        }
        lengths_N = np.diff(splits["train"].offsets.numpy())
        return cls(counted, words_W, 1 + len(seen["train"]), np.sort(lengths_N)[::-1])


def make_source(corpus: Corpus, runs: Sequence[Run], device: torch.device) -> Moving | Pooled:
    """The rows of runs that move them, or the pooled features of runs that do not: all do, or none does."""
    if runs[0].embedding.trainable:
        shape = (len(corpus.words_W), len(runs), runs[0].embedding_VD.shape[1])
        rows_WRD = torch.empty(shape, dtype=torch.float32, device=device)
        for number, run in enumerate(runs):
            rows_WRD[:, number] = torch.from_numpy(run.embedding_VD[corpus.words_W]).to(device)
        rows_WRD[0] = 0
        return Moving(rows_WRD, corpus.train_words)
    matrices_by_id = {id(run.embedding_VD): run.embedding_VD for run in runs}
    digest_by_id = {
        key: hashlib.blake2b(np.ascontiguousarray(rows_VD).data).digest() for key, rows_VD in matrices_by_id.items()
    }
    digests = [digest_by_id[id(run.embedding_VD)] for run in runs]
    distinct = list(dict.fromkeys(digests))
    pooled: dict[str, list[Tensor]] = {name: [] for name in corpus.splits}
    for digest in distinct:
        run = runs[digests.index(digest)]
        rows_WD = torch.from_numpy(run.embedding_VD[corpus.words_W]).to(device)
        for name, texts in corpus.splits.items():
            starts_N = texts.offsets[:-1].int()
            pooled[name].append(F.embedding_bag(texts.ids, rows_WD, starts_N, mode="mean"))
    matrix_R = torch.tensor([distinct.index(digest) for digest in digests], device=device)
    return Pooled(matrix_R, {name: torch.stack(matrices) for name, matrices in pooled.items()})


def run_bytes(corpus: Corpus, run: Run) -> int:
    """Bytes one run takes in a stack, at most.

    Rows that move: all words' rows, and of training words two moments and the rows of the best epoch, then what a step
    needs for its tokens and tweets. Rows that stay: pooled features of all splits, if no other run shares them. Of
    either: what dropout keeps of the tweets it was drawn for, one byte each.
    """
    batch, dim = run.train.batch_size, int(run.embedding_VD.shape[1])
    if run.embedding.trainable:
        state = len(corpus.words_W) + 3 * corpus.train_words
        step = 8 * batch + 4 * int(corpus.longest_N[:batch].sum())
    else:
        state, step = sum(map(len, corpus.splits.values())), 8 * batch
    drawn = min(chunk(batch), len(corpus.splits["train"])) if run.model.dropout else 0
    return dim * (FLOAT * (state + step) + drawn)


def stack_size(corpus: Corpus, run: Run, device: torch.device) -> int:
    """How many such runs are stacked at most: by int32 row numbers and, on a GPU, by its free memory."""
    countable = (2**31 - 1) // max(len(corpus.words_W), 2 * int(corpus.longest_N[: run.train.batch_size].sum()))
    if device.type != "cuda":
        return countable
    free = torch.cuda.mem_get_info(device)[0]
    free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    spare = SHARE_OF_MEMORY * free - PLANNED_BYTES - 3 * EVALUATED_BYTES
    return max(1, min(countable, int(spare // run_bytes(corpus, run))))


def steps_at_once(corpus: Corpus, run: Run, runs: int) -> int:
    """How many steps of a stack are drawn together: a byte per feature of a tweet, some hundred per token."""
    tokens = int(corpus.longest_N[: run.train.batch_size].sum()) if run.embedding.trainable else 0
    step = runs * (run.train.batch_size * int(run.embedding_VD.shape[1]) + 100 * tokens)
    return max(1, PLANNED_BYTES // step)
