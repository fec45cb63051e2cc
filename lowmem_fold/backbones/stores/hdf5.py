"""HDF5: a dataset for each id.

Where residues or a pooling alone were asked for, the dataset of an id stands at the top: `file["P12345"]`; where both
were, in the groups `residues` and `pooled`. Groups keep the order of the input (`track_order`). A dataset has
the attribute `length`, the file `lowmem_fold` (the schema), `settings`, `rows` (id, key, length, checksum of the
embedding; both JSON) and their `checksum`. Records of one sequence share one dataset. As HDF5 has a meaning of its own
for `/` in a name, for `.` alone and for NUL, they are `%2F`, `%2E` and `%00` there, and `%` is `%25`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from ...system.optional_packages import install_command
from ..vectors import Embedding
from .file import Contents, EmbeddingFile, not_ours
from .head import SCHEMA, Head, Row, array_names, head_checksum, parse_head

__all__ = ["Reader", "check", "write"]


def check(rows: Sequence[Row], floats: int) -> None:
    """InputError if h5py is missing."""
    _h5py()


def write(path: Path, contents: Contents) -> None:
    """Write a whole file."""
    with _h5py().File(path, "w", track_order=True) as file:
        file.attrs["lowmem_fold"] = SCHEMA
        # Of a fixed length: where texts of any length are damaged, the library may look for their end for ever.
        file.attrs["settings"] = np.bytes_(json.dumps(contents.settings))
        file.attrs["rows"] = np.bytes_(json.dumps(contents.listed_rows()))
        file.attrs["checksum"] = head_checksum(contents.settings, contents.rows)
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
                    dataset.attrs["length"] = row.length
            written.setdefault(row.key, _name(row.id))


def _name(id: str) -> str:
    """Return the name of the dataset of an id."""
    return "%2E" if id == "." else id.replace("%", "%25").replace("/", "%2F").replace("\0", "%00")


class Reader(EmbeddingFile):
    """InputError if it is no such file."""

    _file: Any = None

    def _open(self) -> Head:
        self._file = _h5py().File(self.path, "r", track_order=True)
        about = self._file.attrs
        if "lowmem_fold" not in about:
            raise not_ours(self.path)
        schema, settings = int(about["lowmem_fold"]), json.loads(about["settings"])
        if schema == 1:
            return parse_head(schema, settings, self._rows_of_schema_1(settings), None)
        return parse_head(schema, settings, json.loads(about["rows"]), int(about["checksum"]))

    def _rows_of_schema_1(self, settings: Any) -> list[list[Any]]:
        """Return what the attributes of the datasets say; schema 1 has no list."""
        group = self._file[next(iter(array_names(settings).values())) or "/"]
        found = ((name, group[name].attrs) for name in group)
        return [[_id_of_schema_1(name), str(about["key"]), int(about["length"])] for name, about in found]

    def _read(self, row: Row) -> Embedding:
        name = _name_of_schema_1(row.id) if self.schema == 1 else _name(row.id)
        arrays = {which: self._file[place + name][()] for which, place in array_names(self.settings).items()}
        return Embedding(arrays.get("residues"), arrays.get("pooled"))

    def close(self) -> None:
        super().close()
        if self._file is not None:
            self._file.close()


def _name_of_schema_1(id: str) -> str:
    return "%2E" if id == "." else id.replace("/", "%2F")


def _id_of_schema_1(name: str) -> str:
    return "." if name == "%2E" else name.replace("%2F", "/")


def _h5py() -> Any:
    try:
        import h5py
    except ImportError:
        raise InputError(
            f"HDF5 files need h5py: {install_command('h5py')}, or write .sqlite, .safetensors or .pt"
        ) from None
    return h5py
