"""Memory that ran out: telling it from other errors, making room again, naming who else takes it."""

from __future__ import annotations

import gc
import sys
from contextlib import suppress

from .budget import format_memory
from .capacity import cuda_capacity, host_capacity
from .limit import CUDA_CONTEXT_BYTES

__all__ = ["capacity_text", "is_out_of_memory", "others_text", "release_memory"]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out: Python's, CUDA's, or that of torch's CPU allocator."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and ("can't allocate memory" in str(error) or "out of memory" in str(error))


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
