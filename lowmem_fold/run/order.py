"""The order in which records are folded: which together, and which first."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from ..planning.options import PLACEMENTS
from ..sequences.packing import packed

if TYPE_CHECKING:
    from ..sequences.records import Record

__all__ = ["WINDOW_TOKENS", "longest_tokens", "next_window", "plan_batches", "planned_windows", "sort_by_placement"]

WINDOW_TOKENS = 4096
"""Of the records whose stem runs before their trunk does. The weights of the stem cross the bus once a window, which
then costs little beside its arithmetic (23 TFLOP in ESMFold v1), and its states stay small (16 MiB)."""


def planned_windows(
    records: Sequence[Record],
    max_tokens: int | None,
    placement_of: Callable[[int], str | None],
    stem_first: Callable[[], bool],
) -> Iterator[list[list[Record]]]:
    """Plan batches in their order, and take windows of them one after the other.

    stem_first is asked before each window: whether it holds more than one batch, as the stem runs for all of it first.
    placement_of is asked now and let go of, since it may hold the model.
    """
    return _windows(deque(sort_by_placement(plan_batches(records, max_tokens), placement_of)), stem_first)


def _windows(batches: deque[list[Record]], stem_first: Callable[[], bool]) -> Iterator[list[list[Record]]]:
    while batches:
        yield next_window(batches, WINDOW_TOKENS if stem_first() else 0)


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


def sort_by_placement(batches: Sequence[list[Record]], placement_of: Callable[[int], str | None]) -> list[list[Record]]:
    """Order batches by the fastest placement that each fits, those that fit in none last; else the order stays.

    One long record costs the others nothing then: they are folded before the model is loaded anew for it.

    Parameters
    ----------
    batches : sequence of list of Record
    placement_of : callable
        From a number of residues to the fastest placement that is planned for it, or None. A longer record never fits
        where a shorter one does not: it is asked of few lengths.
    """
    if not batches:
        return []
    lengths = {index: longest_tokens([batch]) for index, batch in enumerate(batches)}
    placements = _placements(sorted(set(lengths.values())), placement_of)
    order = [*PLACEMENTS, None]
    ranked = sorted(lengths, key=lambda index: order.index(placements[lengths[index]]))
    return [batches[index] for index in ranked]


def _placements(lengths: Sequence[int], placement_of: Callable[[int], str | None]) -> dict[int, str | None]:
    """By halving between lengths whose placements differ."""
    found: dict[int, str | None] = {}

    def at(index: int) -> str | None:
        length = lengths[index]
        if length not in found:
            found[length] = placement_of(length)
        return found[length]

    spans = [(0, len(lengths) - 1)]
    while spans:
        first, last = spans.pop()
        if at(first) == at(last):
            found.update(dict.fromkeys(lengths[first : last + 1], at(first)))
        elif last - first > 1:
            middle = (first + last) // 2
            spans += [(first, middle), (middle, last)]
    return found


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
