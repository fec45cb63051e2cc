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
        Tokens of all records of a batch, at most, as in esm-fold. A longer record is folded alone. None or 0: every
        record alone, in the order given.

    Returns
    -------
    list of list of Record
        Each record once; with batches shortest first.
    """
    if not max_tokens:
        return [[record] for record in records]
    batches: list[list[Record]] = []
    tokens = max_tokens
    for record in sorted(records, key=lambda record: record.num_tokens):
        tokens += record.num_tokens
        if tokens <= max_tokens:
            batches[-1].append(record)
        else:
            batches.append([record])
            tokens = record.num_tokens
    return batches
