"""The simulated GPU refuses what a GPU refuses, and replays a graph on the tensors of its capture."""

import pytest
import torch
from simulated_gpu import CUDA, simulated_gpu

from pipeline.classifier.fast.stack_epoch import WARM_UP, CudaGraphs


def test_tensors_are_on_the_device_of_their_creation_or_transfer():
    with simulated_gpu():
        tensor = torch.zeros(4, 3, device=CUDA)
        layer = torch.nn.Linear(3, 2).to(CUDA)
        on_gpu = [tensor, tensor[:2], torch.ones(2).to(CUDA), layer(tensor), tensor + 1, tensor.sum(), *tensor.unbind()]
        assert {result.device.type for result in on_gpu} == {"cuda"}
        assert {result.device.type for result in (tensor.cpu(), torch.ones(2), tensor.to("cpu"))} == {"cpu"}
        layer(tensor).sum().backward()
        assert layer.weight.grad.device.type == "cuda"
    assert tensor.device.type == "cpu"


@pytest.mark.parametrize(
    "operation",
    [
        lambda tensor: tensor + torch.ones(4),
        lambda tensor: torch.cat([tensor, torch.ones(4)]),
        lambda tensor: tensor.numpy(),
        lambda tensor: torch.rand(4, device=CUDA, generator=torch.Generator()),
        lambda tensor: torch.rand(4, generator=torch.Generator(CUDA)),
    ],
)
def test_operations_on_both_devices_are_refused(operation):
    with simulated_gpu(), pytest.raises((RuntimeError, TypeError), match=r"device|on the GPU"):
        operation(torch.zeros(4, device=CUDA))


@pytest.mark.parametrize(
    "operation",
    [
        lambda tensor: tensor.sum().item(),
        lambda tensor: float(tensor.sum()),
        lambda tensor: bool(tensor.any()),
        lambda tensor: tensor.cpu(),
        lambda tensor: tensor.nonzero(),
        lambda tensor: tensor[tensor > 0],
        lambda tensor: torch.rand(4, device=CUDA),
        lambda tensor: torch.tensor([1.0], device=CUDA),
    ],
)
def test_a_capture_refuses_synchronization_and_random_numbers(operation):
    with simulated_gpu():
        tensor = torch.zeros(4, device=CUDA)
        operation(tensor)
        with pytest.raises(RuntimeError, match="not permitted during the capture of a graph"):
            CudaGraphs(CUDA).capture(lambda: operation(tensor))


def test_a_graph_replays_on_the_tensors_of_its_capture():
    with simulated_gpu() as gpu:
        number, total = torch.zeros(2, device=CUDA), torch.zeros(2, device=CUDA)
        calls = []

        def add():
            calls.append(1)
            total.add_(number[:1] * 2)

        replay = CudaGraphs(CUDA).capture(add)
        number.fill_(3)
        replay()
        assert total.cpu().tolist() == [6.0, 6.0]
        number = torch.ones(2, device=CUDA)  # another tensor than the captured one
        replay()
        assert total.cpu().tolist() == [12.0, 12.0]
        assert len(calls) == WARM_UP + 1
        assert gpu.replayed == 2
