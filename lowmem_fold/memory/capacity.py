"""How much memory the machine has, in integer bytes."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Capacity", "cuda_capacity", "host_capacity"]

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Capacity:
    """Memory of the host or of one device.

    Attributes
    ----------
    total_bytes : int or None
        None where the system does not say.
    free_bytes : int or None
        What can be had without taking it from others.
    """

    total_bytes: int | None
    free_bytes: int | None


def host_capacity() -> Capacity:
    """Main memory, or the share of it that a container is allowed (version 2 control groups)."""
    total, free = _meminfo("MemTotal"), _meminfo("MemAvailable")
    if total is None:
        return Capacity(_pages_bytes(), None)
    limit = _cgroup_bytes("memory.max")
    if limit is None or limit >= total:
        return Capacity(total, free)
    # The cache of files counts as used there, and is given back when memory is asked for.
    used = (_cgroup_bytes("memory.current") or 0) - (_cgroup_cache_bytes() or 0)
    return Capacity(limit, min(limit if free is None else free, max(limit - used, 0)))


def cuda_capacity(index: int | None) -> Capacity:
    """Memory of a CUDA device, by default of the current one, on which `cuda` without a number computes; imports
    torch."""
    import torch

    free, total = torch.cuda.mem_get_info(torch.cuda.current_device() if index is None else index)
    return Capacity(int(total), int(free))


def _meminfo(name: str) -> int | None:
    try:
        found = re.search(rf"^{name}:\s+(\d+) kB", _MEMINFO.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def _cgroup_bytes(name: str) -> int | None:
    try:
        text = (_CGROUP / name).read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None  # "max" where there is no limit


def _cgroup_cache_bytes() -> int | None:
    try:
        found = re.search(r"^inactive_file (\d+)$", (_CGROUP / "memory.stat").read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) if found else None


def _pages_bytes() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
