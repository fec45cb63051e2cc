"""Fake tensors for ledger runs of the real code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch._subclasses import FakeTensorMode

__all__ = ["drop_cached_constants", "fake_tensors"]


@contextmanager
def fake_tensors(mode: FakeTensorMode | None = None) -> Iterator[FakeTensorMode]:
    """A `FakeTensorMode` that leaves nothing behind, and finds nothing.

    transformers keeps small constants of its rigid bodies for the whole process; a fake one among them would break the
    next real fold, and a real one this run. They are dropped before and after.
    """
    drop_cached_constants()
    try:
        with mode or FakeTensorMode() as active:
            yield active
    finally:
        drop_cached_constants()


def drop_cached_constants() -> None:
    """Forget the constants that transformers keeps of its rigid bodies: the next fold makes them, and counts them."""
    from transformers.models.esm.openfold_utils import rigid_utils

    for function in vars(rigid_utils).values():
        if hasattr(function, "cache_clear"):
            function.cache_clear()
