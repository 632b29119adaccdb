"""Adam that updates only the embedding rows of the batch, as torch's SparseAdam does; gradient clipping.

Dense Adam (Kingma & Ba 2015) reads and writes all V rows in every step, and keeps updating a row after a single
gradient. Here a step updates the rows of its batch, and a row's moments decay only then. Shapes: see `model`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
BLOCK = 1 << 17  # numbers that each thread updates at once: with gradient and moments they about fit into its cache
fused_adamw = partial(torch._fused_adamw_, beta1=BETA_1, beta2=BETA_2, amsgrad=False, maximize=False)


@dataclass
class ParameterGroup:
    """Dense parameters with one learning rate and one decoupled weight decay (Loshchilov & Hutter 2019)."""

    parameters: list[Tensor]
    lr: float
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        self.first_moments = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.second_moments = [torch.zeros_like(parameter) for parameter in self.parameters]


class Adam:
    """The optimizer of a run: every step updates all parameters of the groups.

    rows_VD : embedding matrix with row-sparse gradients and the learning rate `lr`; None where it is frozen.
    """

    def __init__(self, groups: Sequence[ParameterGroup], rows_VD: Tensor | None, lr: float) -> None:
        self.groups, self.rows_VD, self.lr = groups, rows_VD, lr
        self.steps = 0
        self.steps_tensor = torch.zeros((), device=groups[0].parameters[0].device)
        self.tables: list[Tensor] = []
        if rows_VD is not None:
            self.tables = [rows_VD.detach(), _lazy_zeros(rows_VD), _lazy_zeros(rows_VD)]
            self.block = len(rows_VD)
            if rows_VD.device.type == "cpu":
                self.block = max(BLOCK // rows_VD.shape[1], 1) * torch.get_num_threads()
            self.buffers = [rows_VD.new_empty(0, rows_VD.shape[1]) for _ in self.tables]

    def step(self, lr_factor: float = 1.0) -> None:
        """Update all parameters from their gradients, with all learning rates times `lr_factor`.

        Where autograd is enabled, call it under `torch.no_grad`.
        """
        self.steps += 1
        self.steps_tensor += 1
        for group in self.groups:
            gradients = [parameter.grad for parameter in group.parameters if parameter.grad is not None]
            fused_adamw(
                group.parameters,
                gradients,
                group.first_moments,
                group.second_moments,
                [],
                [self.steps_tensor] * len(group.parameters),
                lr=group.lr * lr_factor,
                weight_decay=group.weight_decay,
                eps=EPSILON,
            )
        if self.rows_VD is not None and self.rows_VD.grad is not None:
            gradient = self.rows_VD.grad.coalesce()
            tensors = gradient._indices()[0], gradient._values()
            for ids_U, gradient_UD in zip(*(torch.split(tensor, self.block) for tensor in tensors), strict=True):
                self._update_rows(ids_U, gradient_UD, self.lr * lr_factor)

    def _update_rows(self, ids_U: Tensor, gradient_UD: Tensor, lr: float) -> None:
        """Gather rows and moments, update them, and scatter them back."""
        if len(ids_U) > len(self.buffers[0]):  # reused buffers need not be mapped again in every step
            self.buffers = [table.new_empty(min(2 * len(ids_U), self.block), table.shape[1]) for table in self.tables]
        gathered = [buffer_UD[: len(ids_U)] for buffer_UD in self.buffers]
        for table, values_UD in zip(self.tables, gathered, strict=True):
            torch.index_select(table, 0, ids_U, out=values_UD)
        rows_UD, first_UD, second_UD = gathered
        epsilon = EPSILON / math.sqrt(1 - BETA_2**self.steps)  # SparseAdam adds it before the bias correction
        steps = [self.steps_tensor]
        fused_adamw([rows_UD], [gradient_UD], [first_UD], [second_UD], [], steps, lr=lr, weight_decay=0.0, eps=epsilon)
        for table, values_UD in zip(self.tables, gathered, strict=True):
            _widest_view(table).index_copy_(0, ids_U, _widest_view(values_UD))


def _lazy_zeros(like_VD: Tensor) -> Tensor:
    """Zeros of the same shape; on a CPU, rows that no step updates take no memory."""
    on_cpu = like_VD.device.type == "cpu"
    return torch.from_numpy(np.zeros(like_VD.shape, np.float32)) if on_cpu else torch.zeros_like(like_VD)


def _widest_view(matrix_VD: Tensor) -> Tensor:
    """The same memory as fewer numbers of a larger type: `index_copy_` copies number by number."""
    size = matrix_VD.shape[1]
    dtype = torch.complex128 if size % 4 == 0 else torch.float64 if size % 2 == 0 else torch.float32
    return matrix_VD.view(dtype)


def clip_gradients(parameters: Sequence[Tensor], max_norm: float) -> None:
    """Scale all gradients so that their joint L2 norm is at most `max_norm`; torch's function refuses sparse ones."""
    values = []
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad = parameter.grad.coalesce() if parameter.grad.is_sparse else parameter.grad
            values.append(parameter.grad._values() if parameter.grad.is_sparse else parameter.grad)
    norms = torch._foreach_norm(values)
    if values[0].is_cuda:  # without a synchronization of the device
        total_norm = torch.linalg.vector_norm(torch.stack(norms))
        torch._foreach_mul_(values, (max_norm / (total_norm + 1e-6)).clamp(max=1))
        return
    norm = math.hypot(*map(float, norms))
    if norm > max_norm:
        torch._foreach_mul_(values, max_norm / (norm + 1e-6))
