"""All the memory that a block of code takes, by every meter that there is, in integer bytes."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from pathlib import Path
from types import TracebackType

from ..memory.meters import peak_meter

__all__ = ["Meters", "free_before_context"]

_STATUS = Path("/proc/self/status")
_INTERVAL_SECONDS = 0.01


class Meters:
    """A context manager; `peaks` holds after its block what was the most within it, by the name of the sample:

    - `allocated_peak_bytes`: of tensors, by torch's allocator on a CUDA device, weights included;
    - `reserved_peak_bytes`: what that allocator had taken from the device;
    - `device_process_peak_bytes`: what the device had less of than before this process used it, context and libraries
      included. What other processes take or give back meanwhile counts too;
    - `anonymous_peak_bytes`: RssAnon, what the process holds for itself in main memory (Linux), sampled;
    - `resident_peak_bytes`: RSS, with the pages of mapped files. It falls back to the peak since the process began
      where that cannot be reset.

    Those that this machine does not have are absent.

    Parameters
    ----------
    device : str
    free_before : int or None
        What `free_before_context` said.
    """

    def __init__(self, device: str, free_before: int | None) -> None:
        self._device, self._free_before = device, free_before
        self._on_cuda = device.startswith("cuda")
        self.peaks: dict[str, int] = {}

    def __enter__(self) -> Meters:
        if self._on_cuda:
            import torch

            torch.cuda.synchronize(self._device)
            torch.cuda.reset_peak_memory_stats(self._device)
        self._resident = peak_meter("cpu")
        self._resident.__enter__()
        self._anonymous = _SampledAnonymous()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        found = {"anonymous_peak_bytes": self._anonymous.stop()}
        self._resident.__exit__(kind, error, trace)
        if "RssAnon" not in self._resident.name:  # which that meter reads for want of a better one
            found["resident_peak_bytes"] = self._resident.peak_bytes
        if self._on_cuda:
            found |= self._of_cuda()
        self.peaks = {name: size for name, size in found.items() if size is not None}

    def _of_cuda(self) -> dict[str, int | None]:
        import torch

        reserved = int(torch.cuda.max_memory_reserved(self._device))
        process = None
        if self._free_before is not None:
            # Nothing but the allocator gives memory back, so that it alone can have had more than now.
            given_back = reserved - int(torch.cuda.memory_reserved(self._device))
            process = self._free_before - int(torch.cuda.mem_get_info(self._device)[0]) + given_back
        return {
            "allocated_peak_bytes": int(torch.cuda.max_memory_allocated(self._device)),
            "reserved_peak_bytes": reserved,
            "device_process_peak_bytes": process,
        }


def free_before_context(device: str) -> int | None:
    """Free bytes of a CUDA device, asked of its driver's tool: torch would make a context to tell. None where that tool
    is missing, or for another device. To be called before torch uses the device."""
    if not device.startswith("cuda"):
        return None
    index = int(device.partition(":")[2] or 0)
    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    name = visible[index] if index < len(visible) else str(index)
    command = ("nvidia-smi", f"--id={name}", "--query-gpu=memory.free", "--format=csv,noheader,nounits")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
        return int(done.stdout.strip()) * 2**20
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


class _SampledAnonymous:
    """The highest of many readings by a thread that begins at once; a peak shorter than the interval may be missed."""

    def __init__(self) -> None:
        self._highest = _anonymous_bytes()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="anonymous memory", daemon=True)
        if self._highest is not None:
            self._thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(_INTERVAL_SECONDS):
            self._highest = max(self._highest or 0, _anonymous_bytes() or 0)

    def stop(self) -> int | None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        return None if self._highest is None else max(self._highest, _anonymous_bytes() or 0)


def _anonymous_bytes() -> int | None:
    try:
        found = re.search(r"^RssAnon:\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None
