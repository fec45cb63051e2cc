"""``scores.csv``: the lines of ``scores.jsonl`` as a table for spreadsheets, R and pandas."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["COLUMNS", "csv_text", "is_ours"]

#: Always there, in this order; what else lines have comes after them, as it comes up.
COLUMNS = ("id", "status", "length", "mean_plddt", "ptm", "iptm", "num_chains", "seconds", "peak_bytes", "reason")
#: How a text begins that a spreadsheet would take for a formula.
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def is_ours(data: bytes) -> bool:
    """Whether a file begins as `csv_text` does; a spreadsheet may have saved it since, with other separators."""
    first = data.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0].decode("utf-8", "replace")
    return tuple(first.replace('"', "").replace(";", ",").replace("\t", ",").strip().split(",")[:3]) == COLUMNS[:3]


def csv_text(lines: Iterable[Mapping[str, Any]]) -> str:
    """Return the table of lines of ``scores.jsonl``, a row for each.

    A value that is missing or null is an empty cell, a list is its items joined by ``;``, and an object has a column
    for each entry (``memory.peak``). A text that a spreadsheet would take for a formula gets a ``'`` before it.
    """
    rows = [_flat(line) for line in lines]
    names = list(dict.fromkeys([*COLUMNS, *(name for row in rows for name in row)]))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(_cell, names))
    writer.writerows([_cell(row.get(name)) for name in names] for row in rows)
    return text.getvalue()


def _flat(line: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in line.items():
        found |= _flat(value, f"{before}{name}.") if isinstance(value, Mapping) else {before + name: value}
    return found if before else {**found, "num_chains": len(line.get("chain_lengths") or ()) or None}


def _cell(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        value = ";".join(each if isinstance(each, str) else json.dumps(each) for each in value)
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULAS) else value
    return value if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)) else str(value)
