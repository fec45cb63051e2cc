"""What a plan, a folder and a run are asked alike: model, device, budgets and placement, checked. Needs no torch."""

from __future__ import annotations

import re

from ..errors import InputError
from ..memory.budget import parse_memory
from ..system.suggestions import did_you_mean

__all__ = ["PLACEMENTS", "check_placing"]

#: Values of ``--placement``, as `lowmem_fold.residency` has them: that imports torch, and ``--help`` must not.
PLACEMENTS = ("resident", "staged", "streamed")
_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
_DEVICES = ("auto", "cpu", "cuda", "cuda:0", "gpu", "mps")


def check_placing(
    model: str,
    device: str,
    memory: str | int | None,
    host_memory: str | int | None,
    placement: str | None,
) -> None:
    """InputError for a value that cannot be: names the option and the value."""
    if not model.strip():
        raise InputError("--model is empty: give a hub id, a local folder, or demo.")
    if not _DEVICE.fullmatch(device):
        raise InputError(
            f"--device: unknown device {device!r}; choose from: auto, cpu, gpu (the same as cuda), cuda:N, mps."
            f"{did_you_mean(device, _DEVICES)}"
        )
    for name, value in (("--memory", memory), ("--host-memory", host_memory)):
        if value is not None:
            parse_memory(value, name)
    if placement is not None and placement not in PLACEMENTS:
        raise InputError(f"--placement must be one of {', '.join(PLACEMENTS)}; it is {placement!r}.")
