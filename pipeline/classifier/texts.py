"""Encoded tweets as tensors, and how a batch of them is taken."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Texts:
    """A split: token ids of all tweets one after another, where each tweet starts, and its label.

    ids : (tokens,) int32; offsets : (N + 1,) int64; labels_N : (N,) int64.
    """

    ids: Tensor
    offsets: Tensor
    labels_N: Tensor

    @classmethod
    def from_arrays(
        cls, ids: NDArray[np.integer], offsets: NDArray[np.integer], labels_N: NDArray[np.integer]
    ) -> "Texts":
        """Copy arrays (memory-mapped or not) into tensors."""
        return cls(
            torch.from_numpy(np.array(ids, dtype=np.int32)),
            torch.from_numpy(np.array(offsets, dtype=np.int64)),
            torch.from_numpy(np.array(labels_N, dtype=np.int64)),
        )

    def __len__(self) -> int:
        """Return the number of tweets."""
        return len(self.labels_N)

    def to(self, device: torch.device) -> "Texts":
        """The same split with its tensors on `device`."""
        return Texts(self.ids.to(device), self.offsets.to(device), self.labels_N.to(device))


@dataclass(frozen=True)
class Bags:
    """A batch: ids (tokens of the batch,), starts_B (B,) where each tweet begins, lengths_B (B,) in tokens."""

    ids: Tensor
    starts_B: Tensor
    lengths_B: Tensor

    def padded(self, at_least: int) -> tuple[Tensor, Tensor]:
        """Token ids (B, T) filled up with PAD = 0, and the mask (B, T) of real tokens; T is never under `at_least`."""
        longest = max(int(self.lengths_B.max()), at_least)
        mask_BT = torch.arange(longest, device=self.ids.device)[None, :] < self.lengths_B[:, None]
        ids_BT = torch.zeros(mask_BT.shape, dtype=self.ids.dtype, device=self.ids.device)
        ids_BT[mask_BT] = self.ids
        return ids_BT, mask_BT


def take(texts: Texts, rows_B: Tensor) -> Bags:
    """The tweets `rows_B` (B,) int64 of a split as one batch, in that order."""
    first_B = texts.offsets[rows_B]
    lengths_B = texts.offsets[rows_B + 1] - first_B
    ends_B = lengths_B.cumsum(0)
    starts_B = ends_B - lengths_B
    total = int(ends_B[-1])
    shift = torch.repeat_interleave(first_B - starts_B, lengths_B, output_size=total)
    return Bags(texts.ids[torch.arange(total, device=shift.device) + shift], starts_B, lengths_B)
