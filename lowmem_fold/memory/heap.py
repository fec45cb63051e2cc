"""The C library's heap: that memory freed between blocks that stay goes back to the system."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["large_blocks_returned"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_LARGE_BYTES = 1 << 17  # with which glibc begins
_LARGEST_BYTES = 1 << 25  # glibc accepts no more
_SETTINGS = ("MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


@contextmanager
def large_blocks_returned() -> Iterator[None]:
    """Within, blocks of 128 KiB and more are mapped each for itself, and unmapped as soon as they are freed.

    glibc begins so, but takes blocks of up to 32 MiB from its heap once such have been freed, and what then stays
    between freed ones keeps them all: quantizing layer after layer would hold nearly twice the result. Afterwards both
    limits are what glibc would have come to, so that folding, which allocates the same blocks again and again, finds
    them in the heap. Nothing is changed under another C library, or where the environment sets the limit.
    """
    mallopt = None
    if sys.platform == "linux" and not any(name in os.environ for name in _SETTINGS):
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        yield
        return
    mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
    try:
        yield
    finally:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_BYTES)
        mallopt(_M_TRIM_THRESHOLD, 2 * _LARGEST_BYTES)
