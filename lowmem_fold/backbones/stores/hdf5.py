"""HDF5: a dataset for each id.

Where residues or a pooling alone were asked for, the dataset of an id stands at the top: `file["P12345"]`; where both
were, in the groups `residues` and `pooled`. Groups keep the order of the input (`track_order`). Attributes of a dataset
are `key` and `length`, of the file `lowmem_fold` (the schema) and `settings` (JSON). Records of one sequence share one
dataset. As HDF5 has a meaning of its own for `/` in a name, and for `.` alone, they are `%2F` and `%2E` there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...errors import InputError
from ..embedding import Embedding
from .file import SCHEMA, Contents, EmbeddingFile, Row, array_names, not_ours

__all__ = ["Reader", "check", "write"]


def check(rows: Sequence[Row], floats: int) -> None:
    """InputError if h5py is missing, or an id would be read as another."""
    _h5py()
    for row in rows:
        if _id(_name(row.id)) != row.id:
            raise InputError(f"{row.id!r} would be another id in HDF5: rename the record, or write .sqlite")


def write(path: Path, contents: Contents) -> None:
    """Write a whole file."""
    with _h5py().File(path, "w", track_order=True) as file:
        file.attrs["lowmem_fold"] = SCHEMA
        file.attrs["settings"] = json.dumps(contents.settings)
        groups = {
            name: file.create_group(place, track_order=True) if place else file
            for name, place in array_names(contents.settings).items()
        }
        written: dict[str, str] = {}
        for row in contents.rows:
            arrays = {} if row.key in written else contents.read(row).arrays
            for name, group in groups.items():
                if row.key in written:
                    group[_name(row.id)] = group[written[row.key]]  # one more name of the same dataset
                else:
                    dataset = group.create_dataset(_name(row.id), data=arrays[name])
                    dataset.attrs["key"], dataset.attrs["length"] = row.key, row.length
            written.setdefault(row.key, _name(row.id))


def _name(id: str) -> str:
    """Of the dataset of an id."""
    return "%2E" if id == "." else id.replace("/", "%2F")


def _id(name: str) -> str:
    return "." if name == "%2E" else name.replace("%2F", "/")


class Reader(EmbeddingFile):
    """InputError if it is no such file."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = _h5py().File(path, "r", track_order=True)
        except OSError as error:
            raise not_ours(path, error) from None
        if self._file.attrs.get("lowmem_fold") != SCHEMA:
            self._file.close()
            raise not_ours(path)
        self.settings: dict[str, Any] = json.loads(self._file.attrs["settings"])
        self._places = array_names(self.settings)
        group = self._file[next(iter(self._places.values())) or "/"]
        found = ((_id(name), group[name].attrs) for name in group)
        self.rows = {id: Row(id, str(about["key"]), int(about["length"])) for id, about in found}

    def __getitem__(self, id: str) -> Embedding:
        row = self.rows[id]
        arrays = {name: self._file[place + _name(row.id)][()] for name, place in self._places.items()}
        return Embedding(arrays.get("residues"), arrays.get("pooled"))

    def close(self) -> None:
        self._file.close()


def _h5py() -> Any:
    try:
        import h5py
    except ImportError:
        raise InputError(
            "HDF5 files need h5py: pip install 'lowmem-fold[hdf5]', or write .sqlite, .safetensors or .pt"
        ) from None
    return h5py
