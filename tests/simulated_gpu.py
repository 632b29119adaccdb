"""A GPU that is not there: tensors on it are marked CPU tensors, and what a GPU would refuse is refused.

Refused are: an operation on tensors of both devices, reading a marked tensor as an array, and, while a CUDA graph is
recorded, waiting for the device, copying to it and drawing random numbers. A recorded graph is replayed operation by
operation on the memory of its recording: what was decided while it was recorded, and what it reads from tensors that
others have replaced since, shows in the numbers.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map

NAME = "a simulated GPU"
CPU, CUDA = torch.device("cpu"), torch.device("cuda")
MOVING = {"to", "cpu", "copy_", "tensor", "as_tensor", "_has_compatible_shallow_copy_type"}
WAITING = {"item", "tolist", "numpy", "__int__", "__float__", "__bool__", "__index__", "nonzero", "unique"}
RANDOM = {"rand", "randn", "randperm", "randint", "bernoulli", "bernoulli_", "uniform_", "normal_", "dropout"}


def on_gpu(tensor: Tensor) -> bool:
    return getattr(tensor, "_on_gpu", False)


class Generator(torch.Generator):
    """A generator that says it is on the GPU."""

    device = CUDA


class Devices(TorchFunctionMode):
    """Marks what is on the GPU.

    graph : the one that is being recorded; tensors : how many came to be there; replayed : how often graphs were.
    """

    def __init__(self) -> None:
        super().__init__()
        self.graph: Graph | None = None
        self.tensors = self.replayed = 0

    def __torch_function__(
        self, function: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name, of = getattr(function, "__name__", ""), getattr(getattr(function, "__self__", None), "__name__", "")
        if name in ("_parse_to", "device"):  # nothing but arguments
            return function(*args, **kwargs)
        if name == "__get__" and of in ("device", "is_cuda"):
            there = on_gpu(args[0])
            return there if of == "is_cuda" else CUDA if there else CPU
        if name == "__set__":  # as of a parameter's data
            function(*args)
            args[0]._on_gpu = on_gpu(args[1] if isinstance(args[1], Tensor) else args[0])
            return None
        tensors = [one for one in tree_flatten((args, kwargs))[0] if isinstance(one, Tensor)]
        was = any(map(on_gpu, tensors))
        asked = [one for one in (*args, kwargs.get("device")) if isinstance(one, torch.device)]
        asked += [torch.device(one) for one in args if name == "to" and one in ("cpu", "cuda")]
        goes = asked[0] == CUDA if asked else was and name != "cpu"
        self.check(name, tensors, was, goes, args, kwargs)
        args = tuple(CPU if isinstance(one, torch.device) else one for one in args)
        kwargs = kwargs | ({"device": CPU} if "device" in kwargs else {})
        found = function(*args, **kwargs)
        if name in ("to", "cpu") and goes != was:
            found = found.clone()
        for one in tree_flatten(found)[0]:
            if isinstance(one, Tensor) and not any(one is given for given in tensors):
                one._on_gpu = goes  # type: ignore[attr-defined]
                self.tensors += goes
        if self.graph is not None:
            self.graph.operations.append((function, args, kwargs, found))
        return found

    def check(
        self, name: str, tensors: list[Tensor], was: bool, goes: bool, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """Refuse what a GPU refuses. A CPU's tensor of one number may stand beside those of a GPU."""
        mixed = was and any(not on_gpu(one) and one.dim() for one in tensors)
        if mixed and name not in MOVING:
            raise RuntimeError(f"{name}: tensors on more than one device")
        if was and name in ("numpy", "__array__"):
            raise TypeError(f"{name}: the tensor is on the GPU")
        generator = kwargs.get("generator")
        if generator is not None and isinstance(generator, Generator) != goes:
            raise RuntimeError(f"{name}: the generator is on another device")
        if self.graph is None:
            return
        moves = name in MOVING and (mixed or goes != was)
        mask = name == "__getitem__" and any(one.dtype == torch.bool and one.dim() for one in tensors[1:])
        repeats = name == "repeat_interleave" and kwargs.get("output_size") is None
        if moves or mask or repeats or name in WAITING or name in RANDOM:
            raise RuntimeError(f"{name}: not permitted while a graph is recorded")


class Graph:
    """Operations on fixed tensors."""

    def __init__(self) -> None:
        self.operations: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], Any]] = []
        self.devices: Devices | None = None

    def replay(self) -> None:
        assert self.devices is not None
        with torch.no_grad(), torch._C.DisableTorchFunction():
            for function, args, kwargs, found in self.operations:
                tree_map(_into, found, function(*args, **kwargs))
        self.devices.replayed += 1


def _into(old: object, new: object) -> None:
    if isinstance(old, Tensor) and isinstance(new, Tensor) and old.data_ptr() != new.data_ptr():
        old.copy_(new)


@contextmanager
def simulated_gpu() -> Iterator[Devices]:
    """Within it torch has a GPU."""
    devices, stream, make = Devices(), SimpleNamespace(wait_stream=lambda other: None), torch.Generator

    @contextmanager
    def recording(graph: Graph, pool: object, stream: object) -> Iterator[None]:
        graph.devices, devices.graph = devices, graph
        try:
            yield
        finally:
            devices.graph = None

    there = {
        "is_available": lambda: True,
        "get_device_name": lambda device: NAME,
        "mem_get_info": lambda device: (2**34, 2**34),
        "memory_reserved": lambda device: 0,
        "memory_allocated": lambda device: 0,
        "synchronize": lambda: None,
        "graph_pool_handle": object,
        "Stream": lambda device: stream,
        "current_stream": lambda device: stream,
        "stream": lambda one: nullcontext(),
        "CUDAGraph": Graph,
        "graph": recording,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in there.items():
            patch.setattr(torch.cuda, name, value)
        patch.setattr(torch.backends.cudnn, "is_acceptable", lambda tensor: False)
        patch.setattr(torch, "Generator", lambda device=CPU: Generator() if device.type == "cuda" else make())
        with devices:
            yield devices
