"""The optimizer and gradient clipping equal torch's."""

import pytest
import torch
from simulated_gpu import CUDA, Graph, simulated_gpu

from pipeline.classifier import optimizer
from pipeline.classifier.optimizer import Adam, ParameterGroup, clip_gradients


@pytest.mark.parametrize(("size", "block"), [(4, 1 << 17), (6, 1 << 17), (7, 1 << 17), (4, 8), (7, 1)])
def test_steps_equal_torchs_sparse_adam_and_adamw(monkeypatch, size, block):
    monkeypatch.setattr(optimizer, "BLOCK", block)
    generator = torch.Generator().manual_seed(0)
    rows, weight = torch.randn(9, size, generator=generator), torch.randn(3, size, generator=generator)
    mine = [torch.nn.Parameter(tensor.clone()) for tensor in (rows, weight)]
    theirs = [torch.nn.Parameter(tensor.clone()) for tensor in (rows, weight)]
    adam = Adam([ParameterGroup([mine[1]], 0.02, weight_decay=0.1)], mine[0], 0.01)
    references = [torch.optim.SparseAdam([theirs[0]], lr=0.01), torch.optim.AdamW([theirs[1]], 0.02, weight_decay=0.1)]
    for step in range(40):
        ids = torch.randint(1, 7, (step % 5,), generator=generator)  # row 0, and those from 7 on, are never read
        factors = torch.randn(step % 5, size, generator=generator)
        lr_factor = 1 - step / 50
        for rows_VD, weight_CD in (mine, theirs):
            rows_VD.grad = weight_CD.grad = None
            features = torch.nn.functional.embedding(ids, rows_VD, sparse=True) * factors
            ((features @ weight_CD.T).square().sum() + weight_CD.square().sum()).backward()
        with torch.no_grad():
            adam.step(lr_factor)
        for reference, lr in zip(references, (0.01, 0.02), strict=True):
            reference.param_groups[0]["lr"] = lr * lr_factor
            reference.step()
    for one, two in zip(mine, theirs, strict=True):
        assert torch.allclose(one, two, rtol=1e-5, atol=1e-6)
    assert torch.equal(mine[0][[0, 7, 8]], rows[[0, 7, 8]])
    assert not torch.equal(mine[0][1], rows[1])


def test_clipping_equals_torchs_and_includes_sparse_gradients():
    values = torch.randn(10, 4, generator=torch.Generator().manual_seed(0))
    rows = torch.tensor([3, 3, 7])
    mine, reference = torch.nn.Parameter(values.clone()), torch.nn.Parameter(values.clone())
    bias_mine, bias_reference = torch.nn.Parameter(torch.ones(4)), torch.nn.Parameter(torch.ones(4))
    (torch.nn.functional.embedding(rows, mine, sparse=True) * bias_mine).pow(2).sum().backward()
    (torch.nn.functional.embedding(rows, reference) * bias_reference).pow(2).sum().backward()
    clip_gradients([mine, bias_mine], 0.5)
    torch.nn.utils.clip_grad_norm_([reference, bias_reference], 0.5)
    assert torch.allclose(mine.grad.to_dense(), reference.grad, atol=1e-6)
    assert torch.allclose(bias_mine.grad, bias_reference.grad, atol=1e-6)


@pytest.mark.parametrize("limit", [0.5, 50.0])
def test_clipping_on_a_gpu_does_not_synchronize(limit):
    on_cpu, on_gpu = (torch.nn.Linear(4, 3) for _ in range(2))
    for parameter in on_cpu.parameters():
        parameter.grad = torch.ones_like(parameter)
    clip_gradients(list(on_cpu.parameters()), limit)
    with simulated_gpu() as gpu:
        on_gpu.to(CUDA)
        for parameter in on_gpu.parameters():
            parameter.grad = torch.ones_like(parameter)
        gpu.graph = Graph()  # refuses to synchronize
        clip_gradients(list(on_gpu.parameters()), limit)
        gpu.graph = None
        gradients = [parameter.grad.cpu() for parameter in on_gpu.parameters()]
    for parameter, gradient in zip(on_cpu.parameters(), gradients, strict=True):
        assert torch.allclose(parameter.grad, gradient)
