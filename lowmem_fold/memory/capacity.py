"""How much memory the machine has, in integer bytes."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .control_groups import group_limits

if TYPE_CHECKING:
    import torch

__all__ = ["Capacity", "cuda_capacity", "host_capacity", "usable_bytes"]

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


@dataclass(frozen=True)
class Capacity:
    """Memory of the host or of one device.

    Attributes
    ----------
    total_bytes : int or None
        None where the system does not say.
    free_bytes : int or None
        What can be taken without taking it from others.
    limited_by : str or None
        The file that states a limit below what the machine has; None if the machine alone decides.
    """

    total_bytes: int | None
    free_bytes: int | None
    limited_by: str | None = None


def host_capacity() -> Capacity:
    """Return main memory, or the share of it that the control groups of this process leave (Linux: Docker, Slurm).

    Every group from the process's own up to the root may have a limit: the one that leaves least holds.
    """
    total, free = _meminfo("MemTotal"), _meminfo("MemAvailable")
    if total is None:
        return Capacity(_pages_bytes(), None)
    limits = [limit for limit in group_limits(_CGROUP, _MEMBERSHIP) if limit.limit_bytes < total]
    if not limits:
        return Capacity(total, free)
    tightest = min(limits, key=lambda limit: (limit.free_bytes, limit.limit_bytes))
    left = tightest.free_bytes if free is None else min(free, tightest.free_bytes)
    return Capacity(min(limit.limit_bytes for limit in limits), left, str(tightest.file))


def cuda_capacity(index: int | None) -> Capacity:
    """Memory of a CUDA device, by default of the current one, on which `cuda` without a number computes; imports
    torch."""
    import torch

    free, total = torch.cuda.mem_get_info(torch.cuda.current_device() if index is None else index)
    return Capacity(int(total), int(free))


def usable_bytes(device: torch.device) -> int | None:
    """Return what a model may take of a device, as a budget counts it; None where the system does not say.

    On CUDA a budget holds CUDA's context too: to what the driver calls free comes the context of this process, which
    asking has made, and what torch's allocator keeps in its cache, which is given back before a model is loaded. What
    other tensors of this process hold is not usable.
    """
    if device.type == "mps":
        return None
    if device.type != "cuda":
        return host_capacity().free_bytes
    import torch

    from .limit import CUDA_CONTEXT_BYTES

    index = torch.cuda.current_device() if device.index is None else device.index
    free = cuda_capacity(index).free_bytes or 0
    cached = torch.cuda.memory_reserved(index) - torch.cuda.memory_allocated(index)
    return free + int(cached) + CUDA_CONTEXT_BYTES


def _meminfo(name: str) -> int | None:
    try:
        found = re.search(rf"^{name}:\s+(\d+) kB", _MEMINFO.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def _pages_bytes() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
