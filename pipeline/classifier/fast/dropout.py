"""Dropout masks of a run, drawn for many batches at once, as each draw on a GPU is a kernel launch.

On a CPU the numbers of one large draw equal those of several small ones, end to end. On a GPU they depend on the size
of the draw: a run draws in the same portions whether it trains alone or in a stack. Shapes: see `model`.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.classifier.run_spec import Run

TWEETS_PER_DRAW = 1 << 12


def tweets_per_draw(batch_size: int) -> int:
    """About TWEETS_PER_DRAW tweets, but whole batches and at least one."""
    return max(TWEETS_PER_DRAW // batch_size, 1) * batch_size


def draw_mask(tweets: int, dim: int, rate: float, rng: torch.Generator) -> Tensor:
    """A mask (tweets, dim), 0 with probability `rate` and else 1, on the generator's device."""
    return torch.rand((tweets, dim), generator=rng, device=rng.device).ge_(rate)


class DropoutMasks:
    """The masks of a run's steps in its next epoch."""

    def __init__(self, run: Run, dim: int, rng: torch.Generator) -> None:
        self._blocks = self._draw(run, dim, rng)
        self._rest: Tensor | None = None  # of the last block

    @staticmethod
    def _draw(run: Run, dim: int, rng: torch.Generator) -> Iterator[Tensor]:
        """Blocks (steps, B, D) of bool, drawn when their first step comes; a pass's last batch is padded."""
        size = run.train.batch_size
        for _ in range(run.passes):
            for start in range(0, len(run.rows_N), tweets_per_draw(size)):
                tweets = min(tweets_per_draw(size), len(run.rows_N) - start)
                mask_ND = draw_mask(tweets, dim, run.model.dropout, rng)
                yield F.pad(mask_ND, (0, 0, 0, -tweets % size)).view(-1, size, dim).bool()

    def fill(self, mask_KBD: Tensor) -> None:
        """Write the masks of the next K steps."""
        done = 0
        while done < len(mask_KBD):
            block = next(self._blocks) if self._rest is None else self._rest
            used = block[: len(mask_KBD) - done]
            mask_KBD[done : done + len(used)] = used
            done += len(used)
            self._rest = block[len(used) :] if len(used) < len(block) else None
