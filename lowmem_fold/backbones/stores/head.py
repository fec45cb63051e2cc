"""The head of a file of embeddings: what it was made with and which records it holds. One check for every format."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...errors import InputError
from ..vectors import Embedding

__all__ = ["SCHEMA", "Head", "Row", "array_names", "check_ids", "embedding_checksum", "head_checksum", "parse_head"]

#: Rises when what stands in the files changes its meaning. Files of schema 1 have no checksums.
SCHEMA = 2


@dataclass(frozen=True)
class Row:
    """A record of the input.

    id: first word of its header. key: names its sequence, see `sequence_key`. length: residues of that.
    """

    id: str
    key: str
    length: int


@dataclass(frozen=True)
class Head:
    """What a file says of itself. checksums: of the embeddings, by key, where the head holds them."""

    schema: int
    settings: dict[str, Any]
    rows: dict[str, Row]
    checksums: dict[str, int] = field(default_factory=dict)


def array_names(settings: Mapping[str, Any]) -> dict[str, str]:
    """Names of an embedding's arrays, and what stands before a record's id where the array is filed: nothing, so that
    the id alone finds it, but where there are both."""
    both = {"residues": settings["residues"], "pooled": bool(settings["pool"])}
    names = [name for name, wanted in both.items() if wanted]
    return {name: f"{name}/" if len(names) > 1 else "" for name in names}


def check_ids(rows: Sequence[Row]) -> None:
    """Refuse ids that no file can hold: InputError names one that is empty, that UTF-8 has not, or that two have."""
    seen: set[str] = set()
    for row in rows:
        if not row.id or any("\ud800" <= letter <= "\udfff" for letter in row.id):
            raise InputError(f"{row.id!r} cannot be the id of a record: give one of characters that UTF-8 has")
        if row.id in seen:
            raise InputError(f"two records have the id {row.id!r}: rename one")
        seen.add(row.id)


def embedding_checksum(embedding: Embedding) -> int:
    """Return the CRC-32 of the names, the shapes and the numbers (float32, little-endian) of an embedding."""
    value = 0
    for name, array in embedding.arrays.items():
        value = zlib.crc32(f"{name}{list(array.shape)}".encode(), value)
        value = zlib.crc32(np.ascontiguousarray(array, "<f4").data, value)
    return value


def head_checksum(settings: Mapping[str, Any], rows: Sequence[Row]) -> int:
    """Return the CRC-32 of settings and rows, as JSON."""
    listed = [[row.id, row.key, row.length] for row in rows]
    return zlib.crc32(json.dumps([settings, listed]).encode())


def parse_head(schema: object, settings: object, rows: object, checksum: object) -> Head:
    """Check what a file says of itself.

    Parameters
    ----------
    schema, settings, checksum : object
        As read. The checksum is that of `head_checksum`, and not looked at in schema 1, which has none.
    rows : object
        Should be a list of (id, key, length), or of (id, key, length, checksum of the embedding).

    Raises
    ------
    ValueError
        Says what is wrong.
    """
    if not isinstance(schema, int) or not 1 <= schema <= SCHEMA:
        raise ValueError(f"it has the schema {schema!r}, and 1 to {SCHEMA} are known")
    found = _parse_settings(settings)
    if not isinstance(rows, (list, tuple)):
        raise ValueError("it does not list its records")
    parsed = [_parse_row(row) for row in rows]
    if len({row.id for row, _ in parsed}) < len(parsed):
        raise ValueError("two records have one id")
    if schema > 1 and checksum != head_checksum(found, [row for row, _ in parsed]):
        raise ValueError("its settings or its list of records have another checksum than when they were written")
    checksums = {row.key: value for row, value in parsed if value is not None}
    return Head(schema, found, {row.id: row for row, _ in parsed}, checksums)


def _parse_settings(settings: object) -> dict[str, Any]:
    """ValueError if they do not say what every reader needs to know."""
    if not isinstance(settings, dict):
        raise ValueError("it does not say what it was made with")
    kinds = {"residues": bool, "pool": list, "about": dict}
    for name, kind in kinds.items():
        if not isinstance(settings.get(name), kind):
            raise ValueError(f"its setting {name} is {str(settings.get(name))[:40]!r}")
    if not (settings["residues"] or settings["pool"]):
        raise ValueError("its settings name neither residues nor a pooling")
    return settings


def _parse_row(row: object) -> tuple[Row, int | None]:
    if isinstance(row, (list, tuple)) and 3 <= len(row) <= 4:
        id, key, length, checksum = [*row, None][:4]
        texts = isinstance(id, str) and isinstance(key, str)
        if texts and isinstance(length, int) and (checksum is None or isinstance(checksum, int)):
            return Row(id, key, length), checksum
    raise ValueError(f"{str(row)[:80]} does not describe a record")
