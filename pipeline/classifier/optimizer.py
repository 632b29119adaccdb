"""Adam (Kingma & Ba 2015) that moves, of the embedding rows, those of the batch alone; and gradients clipped.

Dense Adam moves a row that it saw once ever after, and reads and writes all V rows in every step. Here, as in torch's
SparseAdam, a step moves the rows that its batch read, and only then do their moments decay.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
BLOCK = 1 << 17  # numbers moved at once by each thread: with gradient and moments they about fit into a core's cache


@dataclass
class Group:
    """Parameters that share a learning rate and a weight decay outside the gradient (Loshchilov & Hutter 2019)."""

    parameters: list[Tensor]
    rate: float
    weight_decay: float = 0.0
    means: list[Tensor] = field(init=False)
    squares: list[Tensor] = field(init=False)

    def __post_init__(self) -> None:
        self.means = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.squares = [torch.zeros_like(parameter) for parameter in self.parameters]


class Adam:
    """The optimizer of a run.

    Parameters
    ----------
    groups : what every step moves.
    rows_VD : embedding rows, whose gradients are row-sparse; None where they stay. Their weights never decay.
    rate : learning rate of these rows.
    """

    def __init__(self, groups: Sequence[Group], rows_VD: Tensor | None, rate: float) -> None:
        self.groups, self.rows_VD, self.rate = groups, rows_VD, rate
        self.steps = torch.zeros((), device=groups[0].parameters[0].device)
        self.done = 0
        self.homes: list[Tensor] = []
        if rows_VD is not None:
            self.homes = [rows_VD.detach(), _untouched(rows_VD), _untouched(rows_VD)]
            self.block = len(rows_VD)
            if rows_VD.device.type == "cpu":
                self.block = max(BLOCK // rows_VD.shape[1], 1) * torch.get_num_threads()
            self.taken = [rows_VD.new_empty(0, rows_VD.shape[1]) for _ in self.homes]

    def step(self, left: float = 1.0) -> None:
        """Move everything once by its gradient; `left` is the share of the learning rates that is left.

        Where autograd listens, call it under `torch.no_grad`.
        """
        self.done += 1
        self.steps += 1
        for group in self.groups:
            torch._fused_adamw_(
                group.parameters,
                [parameter.grad for parameter in group.parameters if parameter.grad is not None],
                group.means,
                group.squares,
                [],
                [self.steps] * len(group.parameters),
                lr=group.rate * left,
                beta1=BETA_1,
                beta2=BETA_2,
                weight_decay=group.weight_decay,
                eps=EPSILON,
                amsgrad=False,
                maximize=False,
            )
        if self.rows_VD is not None and self.rows_VD.grad is not None:
            slopes = self.rows_VD.grad.coalesce()
            parts = zip(
                torch.split(slopes._indices()[0], self.block), torch.split(slopes._values(), self.block), strict=True
            )
            for which_U, slopes_UD in parts:
                self._move_rows(which_U, slopes_UD, self.rate * left)

    def _move_rows(self, which_U: Tensor, slopes_UD: Tensor, rate: float) -> None:
        """Take rows and their moments out, move them, and put them back."""
        if len(which_U) > len(self.taken[0]):  # memory that is kept need not be mapped again in every step
            self.taken = [home.new_empty(min(2 * len(which_U), self.block), home.shape[1]) for home in self.homes]
        taken = [buffer_UD[: len(which_U)] for buffer_UD in self.taken]
        for home, moved_UD in zip(self.homes, taken, strict=True):
            torch.index_select(home, 0, which_U, out=moved_UD)
        rows_UD, means_UD, squares_UD = taken
        torch._fused_adam_(
            [rows_UD],
            [slopes_UD],
            [means_UD],
            [squares_UD],
            [],
            [self.steps],
            lr=rate,
            beta1=BETA_1,
            beta2=BETA_2,
            weight_decay=0.0,
            eps=EPSILON / math.sqrt(1 - BETA_2**self.done),  # SparseAdam adds it before it corrects the bias
            amsgrad=False,
            maximize=False,
        )
        for home, moved_UD in zip(self.homes, taken, strict=True):
            _wide(home).index_copy_(0, which_U, _wide(moved_UD))


def _untouched(like_VD: Tensor) -> Tensor:
    """Zeros of the same shape; on a CPU, rows that no step touches take no memory."""
    if like_VD.device.type == "cpu":
        return torch.from_numpy(np.zeros(like_VD.shape, np.float32))
    return torch.zeros_like(like_VD)


def _wide(matrix_VD: Tensor) -> Tensor:
    """The same memory as fewer, larger numbers, as `index_copy_` moves them one at a time."""
    size = matrix_VD.shape[1]
    kind = torch.complex128 if size % 4 == 0 else torch.float64 if size % 2 == 0 else torch.float32
    return matrix_VD.view(kind)


def clip_gradients(parameters: Sequence[Tensor], limit: float) -> None:
    """Scale all gradients so that their joint L2 norm is at most `limit`; torch's own function refuses sparse ones."""
    values = []
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad = parameter.grad.coalesce() if parameter.grad.is_sparse else parameter.grad
            values.append(parameter.grad._values() if parameter.grad.is_sparse else parameter.grad)
    norms = torch._foreach_norm(values)
    if values[0].is_cuda:  # without waiting for the numbers
        whole = torch.linalg.vector_norm(torch.stack(norms))
        torch._foreach_mul_(values, (limit / (whole + 1e-6)).clamp(max=1))
        return
    norm = math.hypot(*map(float, norms))
    if norm > limit:
        torch._foreach_mul_(values, limit / (norm + 1e-6))
