"""Read the structure database of ProMod3 (`structure_db.dat` of Debian's package promod3-data 3.2.1).

21,119 chains of the Protein Data Bank, all N, CA, C and O atoms, without gaps. The layout, little-endian: 77 bytes of
magic number and type checks; a count (uint64) and so many entries (identifier and chain name, each after its length as
uint32; first residue uint32; number of residues uint16; first residue's number uint16; a shift of three float32); then
columns over the residues of all chains, each after its count (uint64): the letters (1 byte each), the atoms (12 int16
each, N, CA, C, O in 0.01 Angstrom), and others that are not read here.
"""

from __future__ import annotations

import struct
import tarfile
from pathlib import Path

import numpy as np

from lowmem_fold.errors import InputError

from .debian import data_archive

__all__ = ["StructureDatabase", "read_database"]

_MAGIC, _HEADER = 1234, 77
_FILE = "structure_db.dat"


class StructureDatabase:
    """The chains of a database.

    Parameters
    ----------
    data : bytes
        The file.

    Attributes
    ----------
    ids : list of str
        As "1A12_C".
    starts, lengths : ndarray, shape=(N,), dtype=int64
        First residue in the columns, and number of residues.

    Raises
    ------
    InputError
        The bytes are no such file.
    """

    def __init__(self, data: bytes):
        try:
            position = self._read_entries(data)
            self._letters, position = _column(data, position, 1)
            self._atoms, _ = _column(data, position, 24)
        except (struct.error, ValueError, UnicodeDecodeError) as error:
            raise InputError(f"not a structure database of ProMod3 3.2.1: {error}") from error

    def _read_entries(self, data: bytes) -> int:
        magic, version = struct.unpack_from("<II", data)
        if (magic, version) != (_MAGIC, 2):
            raise ValueError(f"it starts with {magic} and {version}, not with {_MAGIC} and 2")
        (count,) = struct.unpack_from("<Q", data, _HEADER)
        position = _HEADER + 8
        self.ids, starts, lengths = [], [], []
        for _ in range(count):
            identifier, position = _text(data, position)
            chain, position = _text(data, position)
            start, length = struct.unpack_from("<IH", data, position)
            position += 20
            self.ids.append(f"{identifier}_{chain}")
            starts.append(start)
            lengths.append(length)
        self.starts, self.lengths = np.array(starts, dtype=np.int64), np.array(lengths, dtype=np.int64)
        return position

    def __len__(self) -> int:
        return len(self.ids)

    def sequence(self, chain: int) -> bytes:
        """The letters of a chain."""
        start = self.starts[chain]
        return self._letters[start : start + self.lengths[chain]].tobytes()

    def atoms(self, chain: int) -> np.ndarray:
        """N, CA, C, O of a chain: int16 (length, 4, 3), in 0.01 Angstrom."""
        start = self.starts[chain]
        return self._atoms[start : start + self.lengths[chain]].view("<i2").reshape(-1, 4, 3)


def _text(data: bytes, position: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("<I", data, position)
    end = position + 4 + length
    return data[position + 4 : end].decode("ascii"), end


def _column(data: bytes, position: int, size: int) -> tuple[np.ndarray, int]:
    (count,) = struct.unpack_from("<Q", data, position)
    start = position + 8
    values = np.frombuffer(data, dtype=np.uint8, count=count * size, offset=start)
    return values.reshape(count, size), start + count * size


def read_database(path: str | Path) -> StructureDatabase:
    """The database in `structure_db.dat` or in the Debian package that holds it.

    Raises
    ------
    InputError
        The file cannot be read, or is neither.
    """
    path = Path(path)
    try:
        data = _unpack(path) if path.suffix == ".deb" else path.read_bytes()
        return StructureDatabase(data)
    except (OSError, InputError, tarfile.TarError, KeyError) as error:
        raise InputError(f"{path}: {error}") from error


def _unpack(path: Path) -> bytes:
    with tarfile.open(fileobj=data_archive(path), mode="r|*") as archive:
        for member in archive:
            if member.name.endswith("/" + _FILE) and (content := archive.extractfile(member)):
                return content.read()
    raise InputError(f"a Debian package without {_FILE}")
