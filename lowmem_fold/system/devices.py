"""The device that is computed on, by name. Importing this does not import torch, which takes seconds."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from .versions import installed_version

if TYPE_CHECKING:
    import torch

__all__ = ["device_here", "device_word", "find_device", "named_device"]

_CUDA_NODES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # of NVIDIA's driver, AMD's, and that of WSL


def device_word(name: str) -> str:
    """Return a device's name as torch has it: in lower case, `gpu` as `cuda` and `gpu:1` as `cuda:1`."""
    kind, colon, index = name.strip().lower().partition(":")
    return f"{'cuda' if kind == 'gpu' else kind}{colon}{index}"


def find_device(name: str | torch.device) -> torch.device:
    """The device of this name; `auto` is CUDA where there is one, else the CPU. InputError if it is not there."""
    import torch

    name = device_word(name) if isinstance(name, str) else name
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
    import torch

    cuda = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return ["cpu", *cuda, *(["mps"] if torch.backends.mps.is_available() else [])]


def named_device(name: str) -> str:
    """Return a device's name, `auto` decided."""
    name = device_word(name)
    if name != "auto":
        return name
    return "cuda" if _has_cuda() else "cpu"


def device_here(name: str) -> str | None:
    """The device of this name, `auto` decided; None of a card where there is none."""
    device = named_device(name)
    if device == "mps":
        return device if sys.platform == "darwin" else None
    return device if not device.startswith("cuda") or _has_cuda() else None


def _has_cuda() -> bool:
    """Without torch where it can be told: importing it takes longer than a plan from the cache."""
    if sys.platform == "darwin" or (installed_version("torch") or "").endswith("+cpu"):
        return False
    if sys.platform == "linux" and not any(Path(node).exists() for node in _CUDA_NODES):
        return False
    import torch

    return torch.cuda.is_available()
