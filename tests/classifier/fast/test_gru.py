"""States and gradients of a GRU in closed form are those of torch's own."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_sequence

from pipeline.classifier.fast.gru import gru_states

D, H = 5, 4


@pytest.mark.parametrize("bidirectional", [False, True])
@given(lengths=st.lists(st.integers(1, 7), min_size=1, max_size=6), seed=st.integers(0, 9))
def test_states_and_gradients_are_those_of_torch(bidirectional, lengths, seed):
    torch.manual_seed(seed)
    gru = nn.GRU(D, H, bidirectional=bidirectional).double()
    tweets = [torch.randn(length, D, dtype=torch.float64) for length in lengths]
    numbers = []
    for states_of in (gru_states, lambda gru, rows: gru(rows)[0]):
        packed = pack_sequence(tweets, enforce_sorted=False)
        rows = packed.data.requires_grad_()
        states = states_of(gru, packed._replace(data=rows)).data
        loss = (states * torch.linspace(-1, 2, states.numel(), dtype=torch.float64).view_as(states)).sin().sum()
        numbers.append([states, *torch.autograd.grad(loss, [rows, *gru.parameters()])])
    for mine, expected in zip(*numbers, strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-10, atol=1e-12)
