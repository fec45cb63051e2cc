"""The device that a step measures, and how a measurement of it becomes a record."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch

from lowmem_fold.bench.clock import now
from lowmem_fold.bench.environment import describe_environment
from lowmem_fold.bench.records import Measurement
from lowmem_fold.errors import InputError, first_line
from lowmem_fold.memory.exhaustion import is_out_of_memory, release_memory

__all__ = ["Card", "Findings"]

CPU_LONGEST = 256
QUICK_LENGTH = 24


@dataclass
class Findings:
    """What one measurement has found so far, in the terms of a `Measurement`."""

    samples: dict[str, list[float]] = field(default_factory=dict)
    resolved: dict[str, Any] = field(default_factory=dict)

    def add(self, **samples: float | Sequence[float]) -> None:
        """Append samples. A number that is not finite, which no record holds, is named in `resolved` instead."""
        for name, values in samples.items():
            for value in values if isinstance(values, Sequence) else [values]:
                if math.isfinite(value):
                    self.samples.setdefault(name, []).append(value if isinstance(value, int) else round(value, 9))
                else:
                    self.resolved.setdefault("not_finite", []).append(name)


@dataclass(frozen=True)
class Card:
    """A device, and how much is measured on it.

    Attributes
    ----------
    device : torch.device
    quick : bool
        One short length and few repeats: shows that each step runs.
    scratch : Path
        A folder for the model of full size, in main memory where there is room; the steps of a run share it.
    """

    device: torch.device
    quick: bool
    scratch: Path

    @property
    def is_cuda(self) -> bool:
        return self.device.type == "cuda"

    def lengths(self, *wanted: int, cpu_longest: int = CPU_LONGEST) -> tuple[int, ...]:
        """Of these numbers of residues, those that the device does in time."""
        if self.quick:
            return (QUICK_LENGTH,)
        return wanted if self.is_cuda else tuple(length for length in wanted if length <= cpu_longest)

    def require_cuda(self, what: str) -> None:
        """Raise InputError, which makes the record "refused", on a device without memory of its own."""
        if not self.is_cuda:
            raise InputError(f"{what} needs a CUDA device")

    def synchronize(self) -> None:
        now(self.device)

    def seconds(self, call: Callable[[], Any], repeats: int = 5) -> list[float]:
        """Seconds of each of several calls, after one that warms up."""
        call()
        taken = []
        for _ in range(1 if self.quick else repeats):
            start = now(self.device)
            call()
            taken.append(now(self.device) - start)
        return taken

    def empty_cache(self) -> None:
        """Give free blocks of the allocator back, so that the next peak is that of one measurement alone."""
        release_memory()

    def measured(
        self, benchmark: str, requested: dict[str, Any], measure: Callable[[Findings], None], **resolved: Any
    ) -> Measurement:
        """The record of one measurement. One that fails keeps the samples taken before, and says why it failed."""
        found, status, reason = Findings(resolved=dict(resolved)), "ok", None
        start = time.perf_counter()
        try:
            measure(found)
        except Exception as error:  # whatever it is: the next measurement is worth having all the same
            status, reason = _status(error), first_line(error) or type(error).__name__
            if status == "failed":
                traceback.print_exc()
            traceback.clear_frames(error.__traceback__)
        found.resolved["measuring_seconds"] = round(time.perf_counter() - start, 2)
        release_memory()
        asked = {"device": self.device.type, **requested}
        return Measurement(benchmark, asked, found.resolved, _environment(), found.samples, status, reason)


def _status(error: Exception) -> str:
    if is_out_of_memory(error):
        return "oom"
    return "refused" if isinstance(error, InputError) else "failed"


@cache
def _environment() -> dict[str, Any]:
    return describe_environment()
