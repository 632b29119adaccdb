"""Dropout of a run's features, drawn for the tweets of many batches at once: on a GPU each draw is a launch or two.

On a CPU the numbers of one draw are those of several smaller ones, end to end; on a GPU they depend on the size of the
draw, so a run alone and the same run in a stack draw alike: `chunk` tweets after `chunk` tweets of each pass.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.classifier.run_spec import Run

CHUNK = 1 << 12


def chunk(batch_size: int) -> int:
    """How many tweets are taken at once: whole batches."""
    return max(CHUNK // batch_size, 1) * batch_size


def draw_kept(tweets: int, dim: int, share: float, noise: torch.Generator) -> Tensor:
    """Ones (tweets, dim) for features that stay, zeros for the share that falls away; on the generator's device."""
    return torch.rand((tweets, dim), generator=noise, device=noise.device).ge_(share)


class Dropout:
    """What stays of a run's features in the steps of its next epoch."""

    def __init__(self, run: Run, dim: int, noise: torch.Generator) -> None:
        self._blocks = self._draw(run, dim, noise)
        self._left: Tensor | None = None

    @staticmethod
    def _draw(run: Run, dim: int, noise: torch.Generator) -> Iterator[Tensor]:
        """Blocks (steps, B, D) of bool, each drawn when its first step comes; a pass's last batch is filled up."""
        size = run.train.batch_size
        for _ in range(run.passes):
            for start in range(0, len(run.rows_N), chunk(size)):
                tweets = min(chunk(size), len(run.rows_N) - start)
                kept_ND = draw_kept(tweets, dim, run.model.dropout, noise)
                yield F.pad(kept_ND, (0, 0, 0, -tweets % size)).view(-1, size, dim).bool()

    def fill(self, kept_KBD: Tensor) -> None:
        """Write that of the next K steps."""
        done = 0
        while done < len(kept_KBD):
            left = next(self._blocks) if self._left is None else self._left
            part = left[: len(kept_KBD) - done]
            kept_KBD[done : done + len(part)] = part
            done += len(part)
            self._left = left[len(part) :] if len(part) < len(left) else None
