"""The device of a run (CPU or GPU), its threads, and its seeded random generators."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from pipeline.runtime.errors import UserError


def resolve_device(name: str) -> torch.device:
    """`auto` is the GPU where there is one. Raises UserError for `cuda` where there is none."""
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("train.device=cuda: no CUDA GPU is visible to torch; use train.device=cpu or auto")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def device_name(device: torch.device) -> str:
    """The name of the GPU, or `cpu`."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


@contextmanager
def torch_threads(number: int) -> Iterator[None]:
    """Compute with a number of threads: small tensors on many threads of a busy machine take minutes."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def seeded_generator(seed: int, purpose: str, device: torch.device | None = None) -> torch.Generator:
    """A random generator for one purpose of one run, independent of its other generators and of the variant."""
    key = np.random.SeedSequence([seed, *purpose.encode()]).generate_state(1, np.uint64)[0]
    return torch.Generator(device or torch.device("cpu")).manual_seed(int(key >> np.uint64(1)))
