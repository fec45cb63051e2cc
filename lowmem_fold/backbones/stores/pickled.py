"""torch's own files: a dict with `lowmem_fold` (the schema), `settings`, `rows` (id, key, length), and `residues`,
`pooled` or both, each a dict of tensors by id in the order of the input. Records of one sequence share one tensor.
`torch.load(path, weights_only=True)` reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ..embedding import Embedding
from .file import SCHEMA, Contents, EmbeddingFile, Row, array_names, not_ours

__all__ = ["Reader", "check", "write"]


def check(rows: Sequence[Row], floats: int) -> None:
    """Any number of records of any size can be written."""


def write(path: Path, contents: Contents) -> None:
    """Write a whole file; numbers that wait in another file are read from there as they are written."""
    names = array_names(contents.settings)
    found: dict[str, dict[str, torch.Tensor]] = {}
    for row in contents.rows:
        if row.key not in found:
            arrays = contents.read(row).arrays
            found[row.key] = {name: torch.from_numpy(arrays[name]) for name in names}
    by_name = {name: {row.id: found[row.key][name] for row in contents.rows} for name in names}
    rows = [(row.id, row.key, row.length) for row in contents.rows]
    torch.save({"lowmem_fold": SCHEMA, "settings": dict(contents.settings), "rows": rows, **by_name}, path)


class Reader(EmbeddingFile):
    """InputError if it is no such file."""

    def __init__(self, path: Path) -> None:
        try:
            self._found: Mapping[str, Any] = torch.load(path, weights_only=True, mmap=True, map_location="cpu")
        except Exception as error:  # of the archive, of pickle, or of what is in it
            raise not_ours(path, error) from None
        if not isinstance(self._found, dict) or self._found.get("lowmem_fold") != SCHEMA:
            raise not_ours(path)
        self.settings = self._found["settings"]
        self.rows = {row[0]: Row(*row) for row in self._found["rows"]}

    def __getitem__(self, id: str) -> Embedding:
        self.rows[id]
        arrays = {name: self._found[name][id].numpy() for name in array_names(self.settings)}
        return Embedding(arrays.get("residues"), arrays.get("pooled"))

    def close(self) -> None:
        self._found = {}
