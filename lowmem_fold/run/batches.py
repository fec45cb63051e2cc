"""Which records are folded together."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ..sequences.packing import packed

if TYPE_CHECKING:
    from ..sequences.records import Record

__all__ = ["WINDOW_TOKENS", "longest_tokens", "next_window", "plan_batches"]

WINDOW_TOKENS = 4096
"""Of the records whose stem runs before their trunk does. The weights of the stem cross the bus once a window, which
then costs little beside its arithmetic (23 TFLOP in ESMFold v1), and its states stay small (16 MiB)."""


def plan_batches(records: Sequence[Record], max_tokens: int | None) -> list[list[Record]]:
    """Group records for folding.

    Parameters
    ----------
    records : sequence of Record
    max_tokens : int, optional
        Tokens of all records of a batch, at most, as in esm-fold. A longer record is folded alone. None or 0: every
        record alone, in the order given.

    Returns
    -------
    list of list of Record
        Each record once; with batches shortest first.
    """
    if not max_tokens:
        return [[record] for record in records]
    return packed(sorted(records, key=_tokens), _tokens, max_tokens)


def next_window(batches: deque[list[Record]], max_tokens: int) -> list[list[Record]]:
    """Take batches from the left, as many as have `max_tokens` together, and one at least."""
    window = [batches.popleft()]
    tokens = _sum(window[0])
    while batches and (tokens := tokens + _sum(batches[0])) <= max_tokens:
        window.append(batches.popleft())
    return window


def longest_tokens(batches: Iterable[Sequence[Record]]) -> int:
    """Tokens of a single record that takes as much as the largest of these batches: the sum of squares counts, which is
    the size of the pair states."""
    return max(math.ceil(math.sqrt(sum(record.num_tokens**2 for record in batch))) for batch in batches)


def _tokens(record: Record) -> int:
    return record.num_tokens


def _sum(batch: Sequence[Record]) -> int:
    return sum(map(_tokens, batch))
