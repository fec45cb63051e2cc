"""Sequences as they are given from Python: a list, a dictionary or one string, checked in one place for every verb."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from reprlib import repr as short_repr
from typing import Any

from ..errors import InputError
from .fasta import parse_sequence
from .ids import check_id
from .records import Record

__all__ = ["GivenSequence", "Sequences", "check_sequence", "list_sequences", "named_records", "parse_given"]

#: What is taken where sequences are wanted: see `list_sequences`.
Sequences = str | Record | Iterable[str | Record] | Mapping[str, str | Record]

_JOIN = "one sequence is one string, its chains joined with ':', as 'MKTAYIAK:GSHMLE'"


@dataclass(frozen=True)
class GivenSequence:
    """A sequence as it was given.

    Attributes
    ----------
    sequence : str or Record
        Not checked further. A record has been checked where it was read.
    name : str
        What errors call it: ``sequence 2``, counted from 1, or ``sequence 'my_id'``.
    id : object, optional
        The key that it had in a dictionary.
    """

    sequence: str | Record
    name: str
    id: object = None


def list_sequences(sequences: Sequences) -> list[GivenSequence]:
    """List the sequences that a caller gave.

    Parameters
    ----------
    sequences : iterable or mapping of str or Record, or one of them
        A string or a record is one sequence, a mapping is of ids to sequences, and of any other iterable (a list, a
        tuple, a generator, an array or a series of strings) each item is a sequence.

    Raises
    ------
    InputError
        If it is something else, or an item is not a string: names the item and says what to write.
    """
    if isinstance(sequences, str | Record):
        return [GivenSequence(sequences, "sequence 1")]
    if isinstance(sequences, Mapping):
        named = [(key, f"sequence {key!r}", item) for key, item in sequences.items()]
        return [GivenSequence(check_sequence(item, name), name, key) for key, name, item in named]
    items = _items(sequences)
    return [GivenSequence(check_sequence(item, f"sequence {i}"), f"sequence {i}") for i, item in enumerate(items, 1)]


def check_sequence(sequence: object, name: str) -> str | Record:
    """Give one sequence back, a string or a record. InputError, with its name, if it is something else."""
    if isinstance(sequence, str | Record):
        return sequence
    kind = type(sequence).__name__
    if sequence is None or (isinstance(sequence, float) and math.isnan(sequence)):  # what a table has for nothing
        raise InputError(f"{name} is missing ({sequence!r}): leave it out, or give a string of one-letter codes.")
    if isinstance(sequence, bytes | bytearray):
        raise InputError(f"{name} is {kind}: make it a string with .decode().")
    if isinstance(sequence, Mapping):
        raise InputError(f"{name} is a {kind}: {_JOIN}; a dictionary of several goes where a list is taken.")
    if isinstance(sequence, Iterable):
        raise InputError(f"{name} is a {kind}: {_JOIN}.")
    raise InputError(f"{name} is a {kind} ({short_repr(sequence)}): give a string of one-letter codes.")


def parse_given(given: GivenSequence, **letters: Any) -> Record:
    """Parse a sequence, unless it is a record already; `letters` as of `parse_sequence`."""
    if isinstance(given.sequence, Record):
        return given.sequence
    return parse_sequence(given.sequence, name=given.name, **letters)


def named_records(
    given: Sequence[GivenSequence], numbers: Iterator[int], allow_nucleotide_letters: bool
) -> list[Record]:
    """Return the records of sequences by their ids; those that have none are numbered once all are read."""
    records = [parse_given(each, allow_nucleotide_letters=allow_nucleotide_letters) for each in given]
    return [_named(each, record, numbers) for each, record in zip(given, records, strict=True)]


def _named(given: GivenSequence, record: Record, numbers: Iterator[int]) -> Record:
    if given.id is not None:
        return replace(record, id=check_id(given.id))
    return record if isinstance(given.sequence, Record) else replace(record, id=f"sequence_{next(numbers)}")


def _items(sequences: Any) -> list[Any]:
    """What an iterable gives. One whose order or items would mislead is refused."""
    kind = type(sequences).__name__
    if sequences is None:
        raise InputError("there are no sequences (None): give a list of strings.")
    if isinstance(sequences, set | frozenset):
        raise InputError(
            f"sequences are a {kind}, which has no order, and results have that of the sequences: list it."
        )
    if isinstance(sequences, bytes | bytearray):
        raise InputError(f"sequences are {kind}: make them a string with .decode().")
    if hasattr(sequences, "columns"):  # a table, which gives the names of its columns
        raise InputError(f"sequences are a {kind}: give the column that has them.")
    try:
        return list(sequences)
    except TypeError:
        raise InputError(
            f"sequences are a {kind} ({short_repr(sequences)}): give a list of strings; "
            "`lowmem_fold.sequences.read_fasta` reads a file."
        ) from None
