"""Where a run computes, and the generators it draws from."""

import numpy as np
import torch

from pipeline.runtime.errors import UserError


def resolve_device(name: str) -> torch.device:
    """`auto` is the GPU where there is one. Raises UserError when `cuda` is asked for and absent."""
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("train.device=cuda: no CUDA GPU is visible to torch; use train.device=cpu or auto")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def stream(seed: int, purpose: str, device: torch.device | None = None) -> torch.Generator:
    """A generator for one purpose of one run, independent of the run's other draws and of the variant."""
    key = np.random.SeedSequence([seed, *purpose.encode()]).generate_state(1, np.uint64)[0]
    return torch.Generator(device or torch.device("cpu")).manual_seed(int(key >> np.uint64(1)))
