"""Seconds on a device that works by itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["PhaseClock", "now"]


class PhaseClock:
    """Seconds of each phase of a fold, waiting for the device where one ends; `begins` is a fold's `phase`."""

    def __init__(self, device: torch.device) -> None:
        self._device, self._present, self._since = device, "", 0.0
        self.seconds: dict[str, float] = {}

    def begins(self, phase: str) -> None:
        self.stop()
        self._present = phase

    def stop(self) -> None:
        """The present phase ends, and none begins."""
        moment = now(self._device)
        if self._present:
            self.seconds[self._present] = self.seconds.get(self._present, 0.0) + moment - self._since
        self._present, self._since = "", moment


def now(device: torch.device) -> float:
    """The time at which the device is done with what it was given."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
    return time.perf_counter()
