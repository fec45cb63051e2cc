"""Blocks of rows: the one iterator that every large loop of the engine runs over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

__all__ = ["Tiling", "sampled_tiles", "tiles"]

# 32 MiB of temporaries keep a CPU's last-level cache warm and add 0.05 U at L=1024 and less above.
DEFAULT_BUDGET_BYTES = 32 * 2**20
# Higher blocks no longer speed up the matrix products; on a CPU they only leave the cache.
MAX_HEIGHT = 64

_sampled: ContextVar[bool] = ContextVar("sampled_tiles", default=False)


@contextmanager
def sampled_tiles() -> Iterator[None]:
    """Within this context loops visit only their first, second and last block: the peak of memory is the same as that
    of the full loop, the values are not. For ledger runs on fake tensors."""
    token = _sampled.set(True)
    try:
        yield
    finally:
        _sampled.reset(token)


def tiles(length: int, height: int) -> Iterator[slice]:
    """Consecutive slices of at most `height` rows that cover `range(length)`."""
    starts = range(0, length, height)
    if _sampled.get() and len(starts) > 3:
        starts = [starts[0], starts[1], starts[-1]]
    for start in starts:
        yield slice(start, min(start + height, length))


@dataclass(frozen=True)
class Tiling:
    """How high the blocks of rows are.

    chunk_size: rows in every block (`--chunk-size`), or None to derive them from the budget.
    budget_bytes: ceiling for the temporaries of one block.
    """

    chunk_size: int | None = None
    budget_bytes: int = DEFAULT_BUDGET_BYTES

    def height(self, length: int, floats_per_pair: int, itemsize: int = 4) -> int:
        """Rows of a block whose temporaries take `floats_per_pair` numbers for each of its `height * length` pairs."""
        if self.chunk_size is not None:
            return min(self.chunk_size, max(length, 1))
        rows = self.budget_bytes // max(1, length * floats_per_pair * itemsize)
        return max(1, min(rows, MAX_HEIGHT, length))
