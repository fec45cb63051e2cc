"""What a measurement ran on: machine, load, versions, state of the code."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from ..memory.capacity import host_capacity
from ..system.machine import cpu_model, program_output
from ..system.versions import environment_versions, installed_version

__all__ = ["describe_environment"]

_BACK_ENDS = ("optimum-quanto", "bitsandbytes")


def describe_environment() -> dict[str, Any]:
    """Facts that a measurement depends on, JSON-able, taken now; imports torch.

    Returns
    -------
    dict
        ``platform``; ``cpu`` (model, cores that this process may use, threads of torch); ``memory`` (total and free,
        bytes); ``gpus`` (name, bytes, compute capability) and ``gpu_driver``; ``versions`` (Python, lowmem_fold, torch,
        its CUDA, transformers, ...; None for what is not installed); ``git`` (commit, and whether tracked files differ
        from it), None unless the code runs from a checkout; ``load_average`` over 1, 5 and 15 minutes, None where the
        system has none. No name of a user or of the machine.
    """
    memory = host_capacity()
    return {
        "platform": platform.platform(),
        "cpu": _cpu(),
        "memory": {"total_bytes": memory.total_bytes, "free_bytes": memory.free_bytes},
        "gpus": _gpus(),
        "gpu_driver": program_output("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"),
        "versions": _versions(),
        "git": _git(Path(__file__)),
        "load_average": _load_average(),
    }


def _cpu() -> dict[str, Any]:
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"model": cpu_model(), "cores": cores, "torch_threads": torch.get_num_threads()}


def _gpus() -> list[dict[str, Any]]:
    """The CUDA devices that torch sees, and Apple's GPU, whose memory is the host's."""
    import torch

    properties = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    gpus = [
        {"name": gpu.name, "total_bytes": int(gpu.total_memory), "compute_capability": f"{gpu.major}.{gpu.minor}"}
        for gpu in properties
    ]
    if torch.backends.mps.is_available():
        gpus.append({"name": "Apple GPU", "total_bytes": None, "compute_capability": None})
    return gpus


def _versions() -> dict[str, str | None]:
    import torch

    back_ends = {name: installed_version(name) for name in _BACK_ENDS}
    return environment_versions() | {"cuda": torch.version.cuda} | back_ends


def _git(file: Path) -> dict[str, Any] | None:
    """The commit that ``file`` belongs to; None for a file that no repository tracks, such as an installed one."""
    where = ("git", "-C", str(file.parent))
    if program_output(*where, "ls-files", "--error-unmatch", str(file)) is None:
        return None
    # Records themselves are appended to tracked files.
    here = ("--", ":(top)", ":(top,exclude)benchmarks/results")
    changes = program_output(*where, "status", "--porcelain", "--untracked-files=no", *here)
    return {"commit": program_output(*where, "rev-parse", "HEAD"), "changed": bool(changes)}


def _load_average() -> list[float] | None:
    try:
        return list(os.getloadavg())
    except (AttributeError, OSError):  # Windows has none
        return None
