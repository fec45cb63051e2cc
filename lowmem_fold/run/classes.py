"""Records in classes by the fastest placement of the weights that they fit: each is folded at its own speed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..planning.options import PLACEMENTS
from .batches import longest_tokens

if TYPE_CHECKING:
    from ..sequences.records import Record

__all__ = ["sort_by_placement"]


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
