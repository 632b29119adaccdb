"""Ragged token ids of tweets, in order, as tensors: a whole split (`Texts`) and a batch of it (`Bags`)."""

from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

EVALUATION_BATCH = 1024


def tensor_view(array: NDArray[np.generic]) -> Tensor:
    """A tensor over the memory of an array, memory-mapped or not; it must not be written to."""
    # Without the read-only flag: torch has no read-only tensors and warns about such arrays.
    interface = array.__array_interface__ | {"data": (array.ctypes.data, False)}
    return torch.from_numpy(np.asarray(SimpleNamespace(array=array, __array_interface__=interface)))


@dataclass(frozen=True)
class Texts:
    """A split as a ragged array: the token ids of all tweets end to end, and the offset of each tweet in them.

    ids : (tokens,) int32; offsets : (N + 1,) int64; labels_N : (N,) int32 or int64. All are read-only.
    """

    ids: Tensor
    offsets: Tensor
    labels_N: Tensor

    @classmethod
    def from_arrays(
        cls, ids: NDArray[np.integer], offsets: NDArray[np.integer], labels_N: NDArray[np.integer]
    ) -> "Texts":
        """Tensors over the arrays' memory, memory-mapped or not; arrays of other integer types are copied."""
        labels_N = labels_N if labels_N.dtype == np.int32 else np.asarray(labels_N, np.int64)
        return cls(
            tensor_view(np.asarray(ids, np.int32)), tensor_view(np.asarray(offsets, np.int64)), tensor_view(labels_N)
        )

    def __len__(self) -> int:
        """Return the number of tweets."""
        return len(self.labels_N)

    def to(self, device: torch.device) -> "Texts":
        """The same split with its tensors on `device`."""
        return Texts(self.ids.to(device), self.offsets.to(device), self.labels_N.to(device))

    def batches(self, size: int = EVALUATION_BATCH) -> Iterator["Bags"]:
        """All tweets in order, in batches of `size`."""
        for start in range(0, len(self), size):
            offsets = self.offsets[start : start + size + 1]
            first, last = int(offsets[0]), int(offsets[-1])
            yield Bags(self.ids[first:last], offsets[:-1] - first, offsets.diff())


@dataclass(frozen=True)
class Bags:
    """A batch as a ragged array: ids (tokens of the batch,), and the start and length in tokens of each tweet (B,)."""

    ids: Tensor
    starts_B: Tensor
    lengths_B: Tensor

    def padded(self) -> tuple[Tensor, Tensor]:
        """Token ids (B, T) padded with PAD = 0, and the mask (B, T) of real tokens; T is at least 1."""
        longest = max(int(self.lengths_B.max()), 1)
        mask_BT = torch.arange(longest, device=self.ids.device)[None, :] < self.lengths_B[:, None]
        ids_BT = torch.zeros(mask_BT.shape, dtype=self.ids.dtype, device=self.ids.device)
        ids_BT[mask_BT] = self.ids
        return ids_BT, mask_BT


def take(texts: Texts, rows_B: Tensor) -> Bags:
    """The tweets `rows_B` (B,) of a split as one batch, in that order."""
    first_B = texts.offsets.index_select(0, rows_B)
    lengths_B = texts.offsets.index_select(0, rows_B + 1) - first_B
    ends_B = lengths_B.cumsum(0)
    starts_B = ends_B - lengths_B
    total = int(ends_B[-1])
    shift = torch.repeat_interleave(first_B - starts_B, lengths_B, output_size=total)
    positions = shift.add_(torch.arange(total, device=shift.device))
    return Bags(texts.ids.index_select(0, positions), starts_B, lengths_B)
