"""Functions of fixed shapes, captured as CUDA graphs and replayed on a GPU; called directly on a CPU."""

from collections.abc import Callable

import torch

WARM_UP = 3


class CudaGraphs:
    """Captures functions, to be replayed many times.

    A function runs WARM_UP times on a side stream before its capture (see "CUDA Graphs" in torch's notes on CUDA
    semantics). Its buffers must then hold an input that changes nothing. The function must not synchronize with the
    device or draw random numbers, and must always use the shapes and tensors of its capture. All graphs share one
    memory pool: they must not run concurrently, or leave results in tensors that they allocate.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.pool = torch.cuda.graph_pool_handle() if device.type == "cuda" else None
        # One side stream for all graphs: cuBLAS keeps a workspace for every stream that it ran on.
        self.side_stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]

    def capture(self, function: Callable[[], None]) -> Callable[[], None]:
        """Capture `function`; returns the function that replays it."""
        if self.side_stream is None:
            return function
        self.side_stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self.side_stream):
            for _ in range(WARM_UP):
                function()
        torch.cuda.current_stream(self.device).wait_stream(self.side_stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool, stream=self.side_stream):
            function()
        replay: Callable[[], None] = graph.replay
        return replay
