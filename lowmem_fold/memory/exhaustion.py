"""Memory that ran out: telling it from other errors, making room again, naming who else takes it."""

from __future__ import annotations

import gc
import sys
import traceback
from contextlib import suppress

from ..errors import DeviceFailedError, first_line
from .budget import format_memory
from .capacity import cuda_capacity, host_capacity
from .limit import CUDA_CONTEXT_BYTES

__all__ = [
    "capacity_text",
    "check_device",
    "forget_frames",
    "is_out_of_memory",
    "others_text",
    "release_memory",
]


_MEANS_OUT_OF_MEMORY = (
    "can't allocate memory",
    "out of memory",
    # cuBLAS asks the driver itself for its handle and its workspace, and says so where there is no room for them.
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_NOT_INITIALIZED",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that memory ran out: Python's, CUDA's, cuBLAS's, or torch's on a CPU."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _MEANS_OUT_OF_MEMORY)


def check_device(device: str) -> None:
    """Raise DeviceFailedError if an error has left a CUDA device unusable for this process.

    After such an error (an illegal access, a failed assertion, a card that fell off the bus) every call fails until the
    process ends, whatever it is asked for: no later record could be folded.
    """
    torch = sys.modules.get("torch")
    if torch is None or not device.startswith("cuda"):
        return
    try:
        torch.cuda.synchronize(device)
    except RuntimeError as error:
        raise DeviceFailedError(f"{device} no longer works in this process ({first_line(error)})") from error


def forget_frames(error: BaseException) -> None:
    """Let go of the local variables of frames that an error has left, of its causes' too.

    A notebook keeps the last traceback, and with it the tensors of each frame: a pair state of gigabytes.
    """
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            traceback.clear_frames(each.__traceback__)
            waiting += [each.__cause__, each.__context__]


def release_memory() -> None:
    """After a failure, and when its error is let go: tensors in reference cycles, and blocks that the allocator of a
    device keeps."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        with suppress(RuntimeError):  # a device that an error has left broken raises it again
            torch.cuda.empty_cache()


def capacity_text(device: str) -> str:
    """Free and total memory of `cuda`, `cuda:N`, or of the host for any other device, for a log."""
    index = _cuda_index(device)
    capacity = host_capacity() if index is None else cuda_capacity(index)
    total, free = ("?" if size is None else format_memory(size) for size in (capacity.total_bytes, capacity.free_bytes))
    return f"{free} free of {total} ({'main memory' if index is None else device}){others_text(device)}"


def others_text(device: str) -> str:
    """What other processes take of a CUDA device, as the end of a sentence; empty where that is nothing to speak of.

    It is what is neither free nor held by torch's allocator here nor this process's context, whose size is assumed:
    less than another such context is not told.
    """
    index = _cuda_index(device)
    if index is None:
        return ""
    import torch

    capacity = cuda_capacity(index)
    taken = (capacity.total_bytes or 0) - (capacity.free_bytes or 0)
    others = taken - torch.cuda.memory_reserved(index) - CUDA_CONTEXT_BYTES
    return f"; other processes use {format_memory(others)} of it" if others > CUDA_CONTEXT_BYTES else ""


def _cuda_index(device: str) -> int | None:
    kind, _, index = device.partition(":")
    if kind != "cuda":
        return None
    import torch

    return int(index) if index else int(torch.cuda.current_device())
