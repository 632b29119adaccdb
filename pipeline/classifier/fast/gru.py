"""States of a GRU for the tokens of a batch, without padding: as torch's GRU, but faster on a CPU.

torch's autograd records some ten operations for each time step. Here the gradients are in closed form, and those of
the weights need one product for a whole batch. Suffixes of shapes, beside those of `model`: R directions (1 or 2),
H hidden units, G = 3 H gates in torch's order (reset, update, new), N tokens of a batch.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence


def gru_states(gru: nn.GRU, rows: PackedSequence) -> PackedSequence:
    """States (N, R H) of a one-layer GRU at every token of `rows` (N, E); the backward ones start at the last token."""
    if rows.data.is_cuda:
        states: PackedSequence = gru(rows)[0]  # cuDNN's kernels are as fast
        return states
    sizes_T = rows.batch_sizes
    directions = ["l0", "l0_reverse"] if gru.bidirectional else ["l0"]
    inputs = [F.linear(rows.data, getattr(gru, f"weight_ih_{d}"), getattr(gru, f"bias_ih_{d}")) for d in directions]
    weights_RGH = torch.stack([getattr(gru, f"weight_hh_{d}") for d in directions])
    bias_RG = torch.stack([getattr(gru, f"bias_hh_{d}") for d in directions])
    if gru.bidirectional:
        mirror_N = _mirror(sizes_T)
        inputs[1] = inputs[1].index_select(0, mirror_N)
    states_RNH = _Recurrence.apply(torch.stack(inputs), weights_RGH, bias_RG, sizes_T.tolist())  # type: ignore[no-untyped-call]
    if gru.bidirectional:
        return rows._replace(data=torch.cat([states_RNH[0], states_RNH[1].index_select(0, mirror_N)], dim=1))
    return rows._replace(data=states_RNH[0])


def _mirror(sizes_T: Tensor) -> Tensor:
    """For each token, the index (N,) of the token at the same distance from the other end of its tweet."""
    present_TB = sizes_T[:, None] > torch.arange(int(sizes_T[0]))
    step_N, tweet_N = present_TB.nonzero(as_tuple=True)
    return (sizes_T.cumsum(0) - sizes_T)[present_TB.sum(0)[tweet_N] - 1 - step_N] + tweet_N


def _steps(sizes: list[int]) -> Iterator[slice]:
    """The tokens of each time step."""
    start = 0
    for size in sizes:
        yield slice(start, start + size)
        start += size


class _Recurrence(torch.autograd.Function):
    """States (R, N, H) from the inputs' part of the gates (R, N, G); `sizes` are the tweets with a token at each step.

    Cho et al. (2014), in torch's form: new = tanh(input + reset × (state × weights + bias)).
    """

    @staticmethod
    def forward(ctx: Any, inputs_RNG: Tensor, weights_RGH: Tensor, bias_RG: Tensor, sizes: list[int]) -> Tensor:
        directions, tokens, _ = inputs_RNG.shape
        hidden = weights_RGH.shape[2]
        weights_RHG = weights_RGH.transpose(1, 2).contiguous()
        gates_RNG = torch.empty_like(inputs_RNG)
        before_RNH, candidates_RNH, states_RNH = inputs_RNG.new_empty(3, directions, tokens, hidden).unbind()
        state = inputs_RNG.new_zeros(directions, sizes[0], hidden)
        for step in _steps(sizes):
            before = before_RNH[:, step].copy_(state[:, : step.stop - step.start])
            recurrent = torch.baddbmm(bias_RG[:, None], before, weights_RHG)
            inputs, gates = inputs_RNG[:, step], gates_RNG[:, step]
            candidate = candidates_RNH[:, step].copy_(recurrent[..., 2 * hidden :])
            both = slice(2 * hidden)
            torch.add(inputs[..., both], recurrent[..., both], out=gates[..., both]).sigmoid_()
            reset, update, new = gates.chunk(3, dim=2)
            torch.addcmul(inputs[..., 2 * hidden :], reset, candidate, out=new).tanh_()
            state = torch.lerp(new, before, update, out=states_RNH[:, step])
        ctx.save_for_backward(weights_RGH, gates_RNG, before_RNH, candidates_RNH)
        ctx.sizes = sizes
        return states_RNH

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_RNH: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        weights_RGH, gates_RNG, before_RNH, candidates_RNH = ctx.saved_tensors
        reset, update, new = gates_RNG.chunk(3, dim=2)
        # Derivatives by the arguments of tanh and of both sigmoids, for all tokens at once.
        by_new = (1 - update) * (1 - new * new)
        by_update = (before_RNH - new) * update * (1 - update)
        by_reset = candidates_RNH * reset * (1 - reset)
        recurrent_RNG = torch.empty_like(gates_RNG)
        by_state = torch.zeros_like(gradient_RNH[:, : ctx.sizes[0]])
        for step in reversed([*_steps(ctx.sizes)]):
            state = by_state[:, : step.stop - step.start].add_(gradient_RNH[:, step])
            by_new[:, step] *= state
            recurrent = recurrent_RNG[:, step]
            by_gates = recurrent.chunk(3, dim=2)
            torch.mul(by_new[:, step], by_reset[:, step], out=by_gates[0])
            torch.mul(state, by_update[:, step], out=by_gates[1])
            torch.mul(by_new[:, step], reset[:, step], out=by_gates[2])
            state.mul_(update[:, step]).baddbmm_(recurrent, weights_RGH)
        inputs_RNG = torch.cat([recurrent_RNG[..., : -by_new.shape[2]], by_new], dim=2)
        weights_gradient_RGH = recurrent_RNG.transpose(1, 2) @ before_RNH
        return inputs_RNG, weights_gradient_RGH, recurrent_RNG.sum(1), None
