"""A simulated GPU: its tensors are marked CPU tensors, and operations that a GPU refuses are refused.

Refused are operations on tensors of both devices and reading a tensor on the GPU as an array. During the capture of a
CUDA graph also synchronization, copies to the device and random numbers. A graph replays its operations on the tensors
of its capture: decisions made during capture, and tensors replaced since, show in the numbers.
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
TRANSFERS = {"to", "cpu", "copy_", "tensor", "as_tensor", "_has_compatible_shallow_copy_type"}
PACKED = {"_pack_padded_sequence", "_pad_packed_sequence", "gru"}  # lengths of sequences stay on the CPU
SYNCHRONIZING = {"item", "tolist", "numpy", "__int__", "__float__", "__bool__", "__index__", "nonzero", "unique"}
RANDOM = {"rand", "randn", "randperm", "randint", "bernoulli", "bernoulli_", "uniform_", "normal_", "dropout"}


def on_gpu(tensor: Tensor) -> bool:
    return getattr(tensor, "_on_gpu", False)


class Generator(torch.Generator):
    """A generator whose device is the GPU."""

    device = CUDA


class Devices(TorchFunctionMode):
    """Marks the tensors that are on the GPU.

    graph : the one being captured; tensors : number of tensors created on the GPU; replayed : number of replays.
    """

    def __init__(self) -> None:
        super().__init__()
        self.graph: Graph | None = None
        self.tensors = self.replayed = 0

    def __torch_function__(
        self, function: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(function, "__name__", "")
        attribute = getattr(getattr(function, "__self__", None), "__name__", "")
        if name in ("_parse_to", "device"):  # these only parse arguments
            return function(*args, **kwargs)
        if name == "__get__" and attribute in ("device", "is_cuda"):
            is_cuda = on_gpu(args[0])
            return is_cuda if attribute == "is_cuda" else CUDA if is_cuda else CPU
        if name == "__set__":  # such as the data of a parameter
            function(*args)
            args[0]._on_gpu = on_gpu(args[1] if isinstance(args[1], Tensor) else args[0])
            return None
        inputs = [leaf for leaf in tree_flatten((args, kwargs))[0] if isinstance(leaf, Tensor)]
        from_gpu = any(map(on_gpu, inputs))
        devices = [value for value in (*args, kwargs.get("device")) if isinstance(value, torch.device)]
        devices += [torch.device(value) for value in args if name == "to" and value in ("cpu", "cuda")]
        to_gpu = devices[0] == CUDA if devices else from_gpu and name != "cpu"
        self.check(name, inputs, from_gpu, to_gpu, kwargs)
        args = tuple(CPU if isinstance(value, torch.device) else value for value in args)
        kwargs = kwargs | ({"device": CPU} if "device" in kwargs else {})
        result = function(*args, **kwargs)
        if name in ("to", "cpu") and to_gpu != from_gpu:
            result = result.clone()
        for output in tree_flatten(result)[0]:
            if isinstance(output, Tensor) and not any(output is tensor for tensor in inputs):
                output._on_gpu = to_gpu  # type: ignore[attr-defined]
                self.tensors += to_gpu
        if name in PACKED - {"gru"}:
            result[1]._on_gpu = False
        if self.graph is not None:
            self.graph.operations.append((function, args, kwargs, result))
        return result

    def check(self, name: str, inputs: list[Tensor], from_gpu: bool, to_gpu: bool, kwargs: dict[str, Any]) -> None:
        """Refuse what a GPU refuses. It accepts a CPU tensor without dimensions among those of the GPU."""
        mixed = from_gpu and any(not on_gpu(tensor) and tensor.dim() for tensor in inputs)
        if mixed and name not in TRANSFERS | PACKED:
            raise RuntimeError(f"{name}: tensors on more than one device")
        if from_gpu and name in ("numpy", "__array__"):
            raise TypeError(f"{name}: the tensor is on the GPU")
        generator = kwargs.get("generator")
        if generator is not None and isinstance(generator, Generator) != to_gpu:
            raise RuntimeError(f"{name}: the generator is on another device")
        if self.graph is None:
            return
        transfer = name in TRANSFERS and (mixed or to_gpu != from_gpu)
        masked = name == "__getitem__" and any(index.dtype == torch.bool and index.dim() for index in inputs[1:])
        repeat = name == "repeat_interleave" and kwargs.get("output_size") is None
        if transfer or masked or repeat or name in SYNCHRONIZING or name in RANDOM:
            raise RuntimeError(f"{name}: not permitted during the capture of a graph")


class Graph:
    """Operations on fixed tensors."""

    def __init__(self) -> None:
        self.operations: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], Any]] = []
        self.devices: Devices | None = None

    def replay(self) -> None:
        assert self.devices is not None
        with torch.no_grad(), torch._C.DisableTorchFunction():
            for function, args, kwargs, result in self.operations:
                tree_map(_overwrite, result, function(*args, **kwargs))
        self.devices.replayed += 1


def _overwrite(old: object, new: object) -> None:
    if isinstance(old, Tensor) and isinstance(new, Tensor) and old.data_ptr() != new.data_ptr():
        old.copy_(new)


@contextmanager
def simulated_gpu() -> Iterator[Devices]:
    """Inside this context torch has a GPU."""
    devices, stream = Devices(), SimpleNamespace(wait_stream=lambda other: None)
    generator_type = torch.Generator

    @contextmanager
    def capture(graph: Graph, pool: object, stream: object) -> Iterator[None]:
        graph.devices, devices.graph = devices, graph
        try:
            yield
        finally:
            devices.graph = None

    functions = {
        "is_available": lambda: True,
        "get_device_name": lambda device: NAME,
        "mem_get_info": lambda device: (2**34, 2**34),
        "memory_reserved": lambda device: 0,
        "memory_allocated": lambda device: 0,
        "synchronize": lambda: None,
        "graph_pool_handle": object,
        "Stream": lambda device: stream,
        "current_stream": lambda device: stream,
        "stream": lambda stream: nullcontext(),
        "CUDAGraph": Graph,
        "graph": capture,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in functions.items():
            patch.setattr(torch.cuda, name, value)
        patch.setattr(torch.backends.cudnn, "is_acceptable", lambda tensor: False)
        patch.setattr(torch, "Generator", lambda device=CPU: Generator() if device.type == "cuda" else generator_type())
        with devices:
            yield devices
