"""safetensors: a tensor for each id, named by it; where residues and a pooling were asked for, `residues/ID` and
`pooled/ID`. The metadata has `lowmem_fold` (the schema), `settings`, `rows` (id, key, length, checksum of the
embedding), both JSON, and their `checksum`. Tensors lie in the order of the input. As the format keeps the name
`__metadata__` for itself, the tensor of an id that begins so has a `_` at its end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...checkpoints.saving import Entry, write_safetensors
from ...errors import InputError
from ..vectors import Embedding
from .file import Contents, EmbeddingFile, not_ours
from .head import SCHEMA, Head, Row, array_names, head_checksum, parse_head

__all__ = ["Reader", "check", "write"]

_HEADER_BYTES, _ROW_BYTES = 100_000_000, 292
"""What the library reads of a header at most, and what a record takes of it beside its id, which is in it thrice, once
as JSON within JSON."""


def check(rows: Sequence[Row], floats: int) -> None:
    """InputError if there are too many records for the format."""
    if sum(_ROW_BYTES + 4 * len(json.dumps(row.id)) for row in rows) > _HEADER_BYTES:
        raise InputError(
            f"{len(rows)} records are too many for one .safetensors file (its header ends at 100 MB); write .h5 or"
            " .sqlite"
        )


def write(path: Path, contents: Contents) -> None:
    """Write a whole file; held at once is one embedding."""
    places = array_names(contents.settings)
    entries = [
        Entry(
            _name(place, row), tuple(contents.shapes(row)[name]), torch.float32, partial(_tensor, contents, row, name)
        )
        for row in contents.rows
        for name, place in places.items()
    ]
    about = {
        "lowmem_fold": str(SCHEMA),
        "settings": json.dumps(contents.settings),
        "rows": json.dumps(contents.listed_rows()),
        "checksum": str(head_checksum(contents.settings, contents.rows)),
    }
    write_safetensors(path, entries, about)


def _name(place: str, row: Row) -> str:
    name = place + row.id
    return f"{name}_" if name.startswith("__metadata__") else name


def _entry(contents: Contents, row: Row, name: str, place: str) -> Entry:
    shape = tuple(contents.shapes(row)[name])
    return Entry(_name(place, row), shape, torch.float32, partial(_tensor, contents, row, name))


def _tensor(contents: Contents, row: Row, name: str) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(contents.read(row).arrays[name]))


class Reader(EmbeddingFile):
    """InputError if it is no such file."""

    _file: Any = None

    def _open(self) -> Head:
        from safetensors import safe_open

        self._file = safe_open(self.path, "numpy")
        metadata = self._file.metadata() or {}
        if "lowmem_fold" not in metadata:
            raise not_ours(self.path)
        schema, checksum = int(metadata["lowmem_fold"]), int(metadata.get("checksum", 0))
        return parse_head(schema, json.loads(metadata["settings"]), json.loads(metadata["rows"]), checksum)

    def _read(self, row: Row) -> Embedding:
        places = array_names(self.settings)
        arrays = {name: self._file.get_tensor(self._name(place, row)) for name, place in places.items()}
        return Embedding(arrays.get("residues"), arrays.get("pooled"))

    def _name(self, place: str, row: Row) -> str:
        return _name(place, row) if self.schema > 1 else place + row.id

    def close(self) -> None:
        super().close()
        self._file = None
