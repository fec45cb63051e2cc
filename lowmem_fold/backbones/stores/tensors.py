"""safetensors: a tensor for each id, named by it; where residues and a pooling were asked for, `residues/ID` and
`pooled/ID`. The metadata has `lowmem_fold` (the schema), `settings` and `rows` (id, key, length), both JSON. Tensors
lie in the order of the input."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ...errors import InputError
from ...saving import Entry, write_safetensors
from ..embedding import Embedding
from .file import SCHEMA, Contents, EmbeddingFile, Row, array_names, not_ours

__all__ = ["Reader", "check", "write"]

_HEADER_BYTES, _ROW_BYTES = 100_000_000, 280
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
        Entry(place + row.id, tuple(contents.shapes(row)[name]), torch.float32, partial(_tensor, contents, row, name))
        for row in contents.rows
        for name, place in places.items()
    ]
    rows = [[row.id, row.key, row.length] for row in contents.rows]
    about = {"settings": json.dumps(contents.settings), "rows": json.dumps(rows), "lowmem_fold": str(SCHEMA)}
    write_safetensors(path, entries, about)


def _tensor(contents: Contents, row: Row, name: str) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(contents.read(row).arrays[name]))


class Reader(EmbeddingFile):
    """InputError if it is no such file."""

    def __init__(self, path: Path) -> None:
        from safetensors import SafetensorError, safe_open

        try:
            self._file = safe_open(path, "numpy")
            metadata = self._file.metadata() or {}
        except (SafetensorError, OSError) as error:
            raise not_ours(path, error) from None
        if metadata.get("lowmem_fold") != str(SCHEMA):
            raise not_ours(path)
        self.settings = json.loads(metadata["settings"])
        self.rows = {id: Row(id, key, length) for id, key, length in json.loads(metadata["rows"])}
        self._places = array_names(self.settings)

    def __getitem__(self, id: str) -> Embedding:
        row = self.rows[id]
        arrays = {name: self._file.get_tensor(place + row.id) for name, place in self._places.items()}
        return Embedding(arrays.get("residues"), arrays.get("pooled"))

    def close(self) -> None:
        del self._file
