"""Peak memory of a block of code, in integer bytes, and which meter read it."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch

__all__ = ["PeakMeter", "peak_meter"]

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_INTERVAL_SECONDS = 0.01


class PeakMeter(Protocol):
    """A context manager that knows the peak after its block; meters must not be nested in one process.

    Attributes
    ----------
    name : str
        What is read, and how.
    start_bytes : int or None
        At the start of the block.
    peak_bytes : int or None
        The highest within the block; None where the system does not say.
    """

    name: str
    start_bytes: int | None
    peak_bytes: int | None

    def __enter__(self) -> PeakMeter: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def peak_meter(device: str | torch.device = "cpu") -> PeakMeter:
    """The best meter of this machine for a device.

    CUDA: the allocator's own peak. MPS: what its driver holds, sampled. CPU: the process's peak resident set, which
    Linux can set back; without the right to do that, its anonymous resident set, sampled; elsewhere the peak since the
    process began, which never falls.

    Parameters
    ----------
    device : str or torch.device
        ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
    """
    kind = str(device).partition(":")[0]
    if kind == "cuda":
        return _CudaPeak(str(device))
    if kind == "mps":
        return _SampledPeak("torch.mps.driver_allocated_memory", _mps_bytes)
    if _can_reset():
        return _ResettablePeak()
    if _status_bytes("RssAnon") is not None:
        return _SampledPeak("RssAnon of /proc/self/status", lambda: _status_bytes("RssAnon"))
    return _LifelongPeak()


class _Peak:
    """Start and end of a block; the children say how bytes are read."""

    name = ""

    def __init__(self) -> None:
        self.start_bytes: int | None = None
        self.peak_bytes: int | None = None

    def _start(self) -> int | None:
        raise NotImplementedError

    def _stop(self) -> int | None:
        raise NotImplementedError

    def __enter__(self) -> PeakMeter:
        self.start_bytes = self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.peak_bytes = self._stop()


class _CudaPeak(_Peak):
    """Tensors of torch's allocator on one device; neither the context of CUDA nor cached free blocks."""

    name = "torch.cuda.max_memory_allocated"

    def __init__(self, device: str) -> None:
        super().__init__()
        self._device = device

    def _start(self) -> int:
        import torch

        torch.cuda.synchronize(self._device)
        torch.cuda.reset_peak_memory_stats(self._device)
        return int(torch.cuda.memory_allocated(self._device))

    def _stop(self) -> int:
        import torch

        return int(torch.cuda.max_memory_allocated(self._device))


class _ResettablePeak(_Peak):
    """The kernel's own high-water mark: misses nothing, counts files mapped into memory too."""

    name = "VmHWM of /proc/self/status, reset at the start"

    def _start(self) -> int | None:
        _CLEAR.write_text("5")  # Linux: proc(5), sets VmHWM to the present VmRSS
        return _status_bytes("VmRSS")

    def _stop(self) -> int | None:
        return _status_bytes("VmHWM")


class _SampledPeak(_Peak):
    """The highest of many readings by a thread; a peak shorter than the interval may be missed."""

    def __init__(self, what: str, read: Callable[[], int | None]) -> None:
        super().__init__()
        self.name = f"{what}, sampled every {_INTERVAL_SECONDS * 1000:.0f} ms"
        self._read = read
        self._highest = 0
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def _start(self) -> int | None:
        start = self._read()
        self._highest = start or 0
        self._ended.clear()
        self._thread = threading.Thread(target=self._watch, name="peak memory", daemon=True)
        self._thread.start()
        return start

    def _watch(self) -> None:
        while not self._ended.wait(_INTERVAL_SECONDS):
            self._sample()

    def _sample(self) -> None:
        self._highest = max(self._highest, self._read() or 0)

    def _stop(self) -> int | None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        self._sample()
        return self._highest or None


class _LifelongPeak(_Peak):
    """For systems without /proc."""

    name = "peak resident set since the process began"

    def _start(self) -> int | None:
        return _lifelong_bytes()

    def _stop(self) -> int | None:
        return _lifelong_bytes()


def _can_reset() -> bool:
    try:
        _CLEAR.write_text("5")
    except OSError:
        return False
    return _status_bytes("VmHWM") is not None


def _status_bytes(name: str) -> int | None:
    """A line of /proc/self/status, which states kB of 1024 bytes."""
    try:
        found = re.search(rf"^{name}:\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def _lifelong_bytes() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return _windows_bytes()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _windows_bytes() -> int | None:
    try:
        import psutil  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        return None
    return getattr(psutil.Process().memory_info(), "peak_wset", None)


def _mps_bytes() -> int:
    import torch

    return int(torch.mps.driver_allocated_memory())
