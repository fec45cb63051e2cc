"""torch's own files: a dict with `lowmem_fold` (the schema), `settings`, `rows` (id, key, length, checksum of the
embedding), `checksum` (of the two before), and `residues`, `pooled` or both, each a dict of tensors by id in the order
of the input. Records of one sequence share one tensor. `torch.load(path, weights_only=True)` reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..vectors import Embedding
from .file import Contents, EmbeddingFile, not_ours
from .head import SCHEMA, Head, Row, array_names, head_checksum, parse_head

__all__ = ["Reader", "check", "write"]


def check(rows: Sequence[Row], floats: int) -> None:
    """Any number of records of any size can be written."""


def write(path: Path, contents: Contents) -> None:
    """Write a whole file. As torch wants all of it at once, the numbers wait in a file beside it, which is mapped."""
    names = array_names(contents.settings)
    with _mapped(path.with_name(f"{path.name}.numbers"), contents, list(names)) as found:
        by_name = {name: {row.id: found[row.key][name] for row in contents.rows} for name in names}
        head = {
            "lowmem_fold": SCHEMA,
            "settings": dict(contents.settings),
            "rows": contents.listed_rows(),
            "checksum": head_checksum(contents.settings, contents.rows),
        }
        torch.save({**head, **by_name}, path)


@contextmanager
def _mapped(scratch: Path, contents: Contents, names: Sequence[str]) -> Iterator[dict[str, dict[str, torch.Tensor]]]:
    """Within, the arrays of embeddings by key and name are tensors whose numbers are in a file."""
    places: dict[str, dict[str, tuple[int, tuple[int, ...]]]] = {}
    end = 0
    try:
        with scratch.open("wb") as file:
            for row in contents.rows:
                if row.key in places:
                    continue
                arrays, places[row.key] = contents.read(row).arrays, {}
                for name in names:
                    places[row.key][name] = end, arrays[name].shape
                    file.write(np.ascontiguousarray(arrays[name], np.float32).data)
                    end += arrays[name].size
        # Copied where it is written to: torch warns of arrays that cannot be.
        numbers = np.memmap(scratch, np.float32, "c") if end else np.empty(0, np.float32)
        yield {
            key: {name: _tensor(numbers, *place) for name, place in by_name.items()} for key, by_name in places.items()
        }
    finally:
        scratch.unlink(missing_ok=True)


def _tensor(numbers: np.ndarray, start: int, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.from_numpy(numbers[start : start + int(np.prod(shape))].reshape(shape))


class Reader(EmbeddingFile):
    """InputError if it is no such file."""

    _found: Mapping[str, Any] = {}

    def _open(self) -> Head:
        found = torch.load(self.path, weights_only=True, mmap=True, map_location="cpu")
        if not isinstance(found, dict) or "lowmem_fold" not in found:
            raise not_ours(self.path)
        self._found = found
        return parse_head(found["lowmem_fold"], found["settings"], found["rows"], found.get("checksum"))

    def _read(self, row: Row) -> Embedding:
        arrays: dict[str, np.ndarray] = {}
        for name in array_names(self.settings):
            by_id = self._found[name]
            if not isinstance(by_id, dict):  # one tensor would be indexed by the letters of the id
                raise ValueError(f"{name} are not filed by id")
            arrays[name] = by_id[row.id].numpy()
        return Embedding(arrays.get("residues"), arrays.get("pooled"))

    def close(self) -> None:
        super().close()
        self._found = {}
