"""Blocks of rows: the one iterator that every large loop of the engine runs over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["Tiling", "sampled_tiles", "tiles"]

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
    starts: Sequence[int] = range(0, length, height)
    if _sampled.get() and len(starts) > 3:
        starts = [starts[0], starts[1], starts[-1]]
    for start in starts:
        yield slice(start, min(start + height, length))


@dataclass(frozen=True)
class Tiling:
    """How high the blocks of rows are.

    chunk_size: rows in every block (`--chunk-size`), or None to derive them from the bytes.
    budget_bytes: ceiling for the temporaries of a block. Products of whole rows use it up: each block reads the whole
        operand, so they are the faster, the more rows they have. By default 32 MiB, or, from L=1024 on, a sixteenth of
        a pair tensor; the 64 rows of MAX_HEIGHT take less from L=2048 on.
    cache_bytes: ceiling for the temporaries of what is computed pair by pair, which is fastest in a CPU's cache.
    max_height: most rows of a block whose height is derived from the bytes.
    """

    chunk_size: int | None = None
    budget_bytes: int | None = None
    cache_bytes: int = 4 * 2**20
    max_height: int = MAX_HEIGHT

    def height(self, length: int, floats_per_pair: int, itemsize: int = 4, *, product: bool = False) -> int:
        """Rows of a block whose temporaries take `floats_per_pair` numbers for each of its `height * length` pairs.

        product: the block's work is a product of whole rows.
        """
        if self.chunk_size is not None:
            return max(1, min(self.chunk_size, length))
        row_bytes = max(1, length * floats_per_pair * itemsize)
        # A product holds two blocks of the pair state's width: L / 32 rows of both are a sixteenth of a pair tensor.
        budget = self.budget_bytes or max(32 * 2**20, length // 32 * row_bytes)
        rows = (budget if product else min(self.cache_bytes, budget)) // row_bytes
        return max(1, min(rows, self.max_height, length))

    @classmethod
    def for_device(cls, device: torch.device, chunk_size: int | None = None) -> Tiling:
        """Blocks of a CPU fit its cache. Those of a GPU have to fill it: 24 MiB, not yet measured on one."""
        return cls(chunk_size) if device.type == "cpu" else cls(chunk_size, cache_bytes=24 * 2**20)
