"""Which records are folded together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..sequences import Record

__all__ = ["plan_batches"]


def plan_batches(records: Sequence[Record], max_tokens: int | None) -> list[list[Record]]:
    """Group records for folding.

    Parameters
    ----------
    records : sequence of Record
    max_tokens : int, optional
        Records times tokens of the longest of them, at most, in a batch. A record of more than half of it is folded
        alone, however long it is. None or 0: every record alone, in the order given.

    Returns
    -------
    list of list of Record
        Each record once; with batches sorted by length, so that little is padded.
    """
    if not max_tokens:
        return [[record] for record in records]
    batches: list[list[Record]] = []
    for record in sorted(records, key=lambda record: record.num_tokens):
        # Sorted upwards, this record is the longest of the batch it joins: n + 1 of its length must fit.
        if batches and (len(batches[-1]) + 1) * record.num_tokens <= max_tokens:
            batches[-1].append(record)
        else:
            batches.append([record])
    return batches
