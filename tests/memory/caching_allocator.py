"""A simulation of torch's allocator for CUDA, to replay what a fold asks of it where there is no card.

Rules and constants are those of c10/cuda/CUDACachingAllocator.cpp (torch 2.6 to 2.13) with its default settings: sizes
are rounded to 512 bytes; up to 1 MiB is cut from segments of 2 MiB, up to 10 MiB from segments of 20, and a larger
block has a segment of its own, rounded to 2 MiB; the smallest free block that is large enough is taken, and split if
the rest is of use; neighbours that are free are joined; where the limit is reached, segments that are free as a whole
are given back first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

MIB = 2**20
_BLOCK, _SMALL = 512, MIB
_SMALL_SEGMENT, _LARGE_SEGMENT, _OWN_SEGMENT_FROM, _ROUNDED = 2 * MIB, 20 * MIB, 10 * MIB, 2 * MIB

Event = tuple[int, int]
"""Of what a program asks: a number of its own for each block, and bytes; 0 bytes where it is freed."""


class OutOfMemory(Exception):
    """The limit has no room, though all that is free was given back."""


@dataclass(eq=False)
class _Block:
    size: int
    is_free: bool = True
    before: _Block | None = None
    after: _Block | None = None


@dataclass
class CachingAllocator:
    """The allocator of one device with a limit on what it takes."""

    limit: float = float("inf")
    reserved: int = 0
    peak_reserved: int = 0
    _pools: dict[bool, set[_Block]] = field(default_factory=lambda: {True: set(), False: set()})
    _used: dict[int, _Block] = field(default_factory=dict)

    def replay(self, events: Iterable[Event]) -> CachingAllocator:
        for number, size in events:
            if size:
                self._used[number] = self._taken(-(-size // _BLOCK) * _BLOCK)
            else:
                self._give_back(self._used.pop(number))
        return self

    def _taken(self, size: int) -> _Block:
        small = size <= _SMALL
        pool = self._pools[small]
        fitting = [block for block in pool if block.size >= size]
        block = min(fitting, key=lambda each: each.size) if fitting else self._new_segment(size)
        pool.discard(block)
        block.is_free = False
        rest = block.size - size
        if rest >= _BLOCK if small else rest > _SMALL:
            block.size = size
            part = _Block(rest, before=block, after=block.after)
            if block.after is not None:
                block.after.before = part
            block.after = part
            pool.add(part)
        return block

    def _new_segment(self, size: int) -> _Block:
        if size <= _SMALL:
            taken = _SMALL_SEGMENT
        elif size < _OWN_SEGMENT_FROM:
            taken = _LARGE_SEGMENT
        else:
            taken = -(-size // _ROUNDED) * _ROUNDED
        if self.reserved + taken > self.limit:
            self._release_free_segments()
            if self.reserved + taken > self.limit:
                raise OutOfMemory(f"{size} bytes")
        self.reserved += taken
        self.peak_reserved = max(self.peak_reserved, self.reserved)
        return _Block(taken)

    def _release_free_segments(self) -> None:
        for pool in self._pools.values():
            whole = {block for block in pool if block.before is None and block.after is None}
            self.reserved -= sum(block.size for block in whole)
            pool -= whole

    def _give_back(self, block: _Block) -> None:
        small = self._is_small(block)
        pool = self._pools[small]
        block.is_free = True
        for other in (block.before, block.after):
            if other is not None and other.is_free:
                pool.discard(other)
                block.size += other.size
                if other is block.before:
                    block.before = other.before
                else:
                    block.after = other.after
        if block.before is not None:
            block.before.after = block
        if block.after is not None:
            block.after.before = block
        pool.add(block)

    @staticmethod
    def _is_small(block: _Block) -> bool:
        """By the segment that it is in: those of small blocks are 2 MiB."""
        total, each = 0, block
        while each.before is not None:
            each = each.before
        while each is not None:
            total += each.size
            each = each.after
        return total == _SMALL_SEGMENT


def least_limit(events: list[Event], precision: int = MIB) -> int:
    """Return the least limit, to so many bytes, with which a program ends."""
    low, high = 0, CachingAllocator().replay(events).peak_reserved
    while high - low > precision:
        middle = (low + high) // 2
        try:
            CachingAllocator(middle).replay(events)
        except OutOfMemory:
            low = middle
        else:
            high = middle
    return high


def peak_bytes(events: Iterable[Event]) -> int:
    """Return the most that the blocks of a program hold at once."""
    live: dict[int, int] = {}
    now = most = 0
    for number, size in events:
        now += size - (0 if size else live.pop(number))
        if size:
            live[number] = size
        most = max(most, now)
    return most
