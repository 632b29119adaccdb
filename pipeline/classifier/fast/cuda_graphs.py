"""A function of fixed shapes, called as it is on a CPU and replayed as a CUDA graph on a GPU."""

from collections.abc import Callable, Hashable

import torch

WARM_UP = 3


class Recordings:
    """Functions by key, each made ready to be called many times.

    On CUDA a function is called a few times on a stream of its own, as torch asks ("CUDA Graphs" in its notes on CUDA
    semantics), and then recorded: its buffers must hold an input that changes nothing. It may not wait for the device,
    draw random numbers, or use other shapes and tensors later than when recorded. Recordings share their memory: they
    may not run at once, nor leave results in tensors that they make. On a CPU it is called as it is.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.functions: dict[Hashable, Callable[[], None]] = {}
        self.pool = torch.cuda.graph_pool_handle() if device.type == "cuda" else None
        # One for all: cuBLAS keeps a workspace for every stream it ever ran on.
        self.side = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]

    def record(self, key: Hashable, function: Callable[[], None]) -> None:
        """Make `function` ready under `key`."""
        if self.side is None:
            self.functions[key] = function
            return
        self.side.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self.side):
            for _ in range(WARM_UP):
                function()
        torch.cuda.current_stream(self.device).wait_stream(self.side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool, stream=self.side):
            function()
        self.functions[key] = graph.replay
