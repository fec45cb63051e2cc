"""The device that is computed on, by name."""

from __future__ import annotations

import torch

from .errors import InputError

__all__ = ["find_device"]


def find_device(name: str | torch.device) -> torch.device:
    """The device of this name; `auto` is CUDA where there is one, else the CPU. InputError if it is not there."""
    if str(name) == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        first = str(error).strip().split("\n")[0].split(". ")[0]
        raise InputError(
            f"device {name} is not available ({first}); this machine has {', '.join(_devices())}"
        ) from None
    return device


def _devices() -> list[str]:
    cuda = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return ["cpu", *cuda, *(["mps"] if torch.backends.mps.is_available() else [])]
