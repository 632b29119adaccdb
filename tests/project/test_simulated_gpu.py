"""The simulated GPU refuses what a GPU refuses, and replays a recording on the memory it was made with."""

import pytest
import torch
from simulated_gpu import CUDA, simulated_gpu

from pipeline.classifier.fast.cuda_graphs import WARM_UP, Recordings


def test_tensors_are_where_they_were_made_or_put():
    with simulated_gpu():
        there = torch.zeros(4, 3, device=CUDA)
        layer = torch.nn.Linear(3, 2).to(CUDA)
        found = [there, there[:2], torch.ones(2).to(CUDA), layer(there), there + 1, there.sum(), *there.unbind()]
        assert {one.device.type for one in found} == {"cuda"}
        assert {one.device.type for one in (there.cpu(), torch.ones(2), there.to("cpu"))} == {"cpu"}
        layer(there).sum().backward()
        assert layer.weight.grad.device.type == "cuda"
    assert there.device.type == "cpu"


@pytest.mark.parametrize(
    "work",
    [
        lambda there: there + torch.ones(4),
        lambda there: torch.cat([there, torch.ones(4)]),
        lambda there: there.numpy(),
        lambda there: torch.rand(4, device=CUDA, generator=torch.Generator()),
        lambda there: torch.rand(4, generator=torch.Generator(CUDA)),
    ],
)
def test_two_devices_do_not_mix(work):
    with simulated_gpu(), pytest.raises((RuntimeError, TypeError), match=r"device|on the GPU"):
        work(torch.zeros(4, device=CUDA))


@pytest.mark.parametrize(
    "work",
    [
        lambda there: there.sum().item(),
        lambda there: float(there.sum()),
        lambda there: bool(there.any()),
        lambda there: there.cpu(),
        lambda there: there.nonzero(),
        lambda there: there[there > 0],
        lambda there: torch.rand(4, device=CUDA),
        lambda there: torch.tensor([1.0], device=CUDA),
    ],
)
def test_a_graph_holds_no_waiting_and_no_random_numbers(work):
    with simulated_gpu():
        there = torch.zeros(4, device=CUDA)
        work(there)
        with pytest.raises(RuntimeError, match="not permitted while a graph is recorded"):
            Recordings(CUDA).record("key", lambda: work(there))


def test_a_recording_works_on_the_tensors_it_was_made_with():
    with simulated_gpu() as gpu:
        number, total = torch.zeros(2, device=CUDA), torch.zeros(2, device=CUDA)
        calls = []

        def add():
            calls.append(1)
            total.add_(number[:1] * 2)

        recordings = Recordings(CUDA)
        recordings.record("add", add)
        number.fill_(3)
        recordings.functions["add"]()
        assert total.cpu().tolist() == [6.0, 6.0]
        number = torch.ones(2, device=CUDA)  # another tensor than the recorded one
        recordings.functions["add"]()
        assert total.cpu().tolist() == [12.0, 12.0]
        assert len(calls) == WARM_UP + 1
        assert gpu.replayed == 2
