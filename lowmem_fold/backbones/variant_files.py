"""Files of mutations to be scored."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError

__all__ = ["read_variants"]

_ID, _MUTATION = "id", ("mutation", "mutations", "mutant", "variant")


def read_variants(path: str | Path, ids: Sequence[str]) -> dict[str, list[str]]:
    """The variants of each sequence, in the order of the file; sequences without any are left out.

    Parameters
    ----------
    path : str or Path
        CSV with a header: a column `mutation` (or `mutant`, as in ProteinGym) and, if there are several sequences, a
        column `id`; others are not read. Or, for one sequence, a variant a line without a header.
    ids : sequence of str
        Of the sequences.

    Raises
    ------
    InputError
        The file cannot be read, has no such columns, or names a sequence that is not there: names the line.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise InputError(f"{path}: cannot be read ({reason})") from None
    reader = csv.reader(text.splitlines())
    lines = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(map(str.strip, row))]
    if not lines:
        raise InputError(f"{path}: there are no mutations, the file is empty")
    header = [cell.lower() for cell in lines[0][1]]
    mutation = next((header.index(name) for name in _MUTATION if name in header), None)
    if mutation is None:
        return _without_header(path, lines, ids)
    return _with_header(path, lines[1:], ids, mutation, header.index(_ID) if _ID in header else None)


def _without_header(path: str | Path, lines: list[tuple[int, list[str]]], ids: Sequence[str]) -> dict[str, list[str]]:
    number, first = lines[0]
    if any(len(cells) > 1 for _, cells in lines):
        raise InputError(f"{path}, line {number}: no column is named {_MUTATION[0]} (there are: {', '.join(first)})")
    if len(ids) > 1:
        raise InputError(
            f"{path}: there are {len(ids)} sequences: name the columns {_ID},{_MUTATION[0]} in a first line"
        )
    return {ids[0]: [cells[0] for _, cells in lines]}


def _with_header(
    path: str | Path, lines: list[tuple[int, list[str]]], ids: Sequence[str], mutation: int, id: int | None
) -> dict[str, list[str]]:
    if id is None and len(ids) > 1:
        raise InputError(f"{path}: there are {len(ids)} sequences, and no column {_ID} says whose a mutation is")
    if not lines:
        raise InputError(f"{path}: there are no mutations below the header")
    found: dict[str, list[str]] = {}
    for number, cells in lines:
        if len(cells) <= max(mutation, id or 0):
            raise InputError(f"{path}, line {number}: there are fewer columns than in the header")
        owner = ids[0] if id is None else cells[id]
        if owner not in ids:
            raise InputError(f"{path}, line {number}: there is no sequence {owner!r}")
        found.setdefault(owner, []).append(cells[mutation])
    return found
