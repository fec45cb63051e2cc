"""Where a run puts its results: what is finished stays, whatever happens."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ...system.files import own_folder
from ...system.lock import FolderLock
from ..vectors import Embedding
from .database import MOST_BYTES, Database, delete_database
from .file import Contents, DamagedError, EmbeddingFile
from .head import Row, check_ids, embedding_checksum

__all__ = ["FileFormat", "FileStore", "Store", "partial_folder", "replace_file", "sequence_key"]

_PART_BYTES = MOST_BYTES // 2  # a row of residues less than the most, however they are divided


class Store(Protocol):
    """What a run needs of its output.

    Attributes
    ----------
    path : Path
        The file that there is in the end.
    damaged : set of str
        Keys of embeddings that were looked for with `in`, and are there, but not as they were written.
    lost : list of Row
        Records of the file that `finish` left out, as their embeddings are damaged and not of this run.
    kept : int
        Embeddings that `finish` found for none of the records: an interrupted run of another input left them. They
        stay for it.
    """

    path: Path
    damaged: set[str]
    lost: list[Row]
    kept: int

    def check(self, rows: Sequence[Row], floats: int) -> None:
        """InputError if these records, the longest of so many numbers, cannot be written."""

    def present(self) -> EmbeddingFile | None:
        """The file that is there; None if there is none. InputError if it is no such file."""

    def opened(self, settings: Mapping[str, Any], overwrite: bool) -> AbstractContextManager[object]:
        """Within, results can be added. The file that is there has these settings, or is not to count (`overwrite`).

        InputError if another run is at it, or one was interrupted that had other settings.
        """

    def __contains__(self, key: str) -> bool:
        """Whether the embedding of a sequence is there, as it was written: it is read."""

    def add(self, found: Mapping[str, Embedding]) -> None:
        """Keep embeddings by the keys of their sequences: each whole, or not at all. A kill loses those of the last
        second, anything else none."""

    def finish(self, rows: Sequence[Row], settings: Mapping[str, Any]) -> None:
        """Make the file hold these records, in this order, and then the others that it held. Their keys are there.

        Where there is none at all, no file is made, and one that is there stays as it is. settings: those with which
        the store was opened, and under `about` what became of the run.
        """


class FileFormat(Protocol):
    """A module that writes files whole."""

    def check(self, rows: Sequence[Row], floats: int) -> None: ...

    def write(self, path: Path, contents: Contents) -> None: ...

    def Reader(self, path: Path) -> EmbeddingFile: ...


@dataclass(frozen=True)
class _Found:
    """An embedding that is there as it was written."""

    shapes: Mapping[str, Sequence[int]]
    checksum: int


class FileStore:
    """A file that is written whole, from a database beside it, and then takes the place of the one before."""

    def __init__(self, path: Path, format: FileFormat) -> None:
        self.path, self._format = path, format
        self.damaged: set[str] = set()
        self.lost: list[Row] = []
        self.kept = 0
        self._old: EmbeddingFile | None = None
        self._old_ids: dict[str, str] = {}  # by key
        self._found: dict[str, _Found] = {}  # by key

    def check(self, rows: Sequence[Row], floats: int) -> None:
        self._format.check(rows, floats)
        check_ids(rows)

    def present(self) -> EmbeddingFile | None:
        return self._format.Reader(self.path) if self.path.exists() else None

    @contextmanager
    def opened(self, settings: Mapping[str, Any], overwrite: bool) -> Iterator[FileStore]:
        folder = own_folder(partial_folder(self.path))
        with FolderLock(folder):
            self._partial = Database.begin(folder / "embeddings.sqlite", settings, overwrite)
            self._left = self._partial.keys
            try:
                self._old = None if overwrite else self.present()
                self._old_ids = {} if self._old is None else {row.key: row.id for row in self._old.rows.values()}
                yield self
            finally:
                self._partial.close()
                self._close_old()
            if not self._left:
                delete_database(self._partial.path)
        with suppress(OSError):  # a log of failures may be left there
            folder.rmdir()

    def __contains__(self, key: str) -> bool:
        if key not in self._found and key not in self.damaged:
            self._look_for(key)
        return key in self._found

    def _look_for(self, key: str) -> None:
        """Note whether an embedding is there as it was written, or damaged."""
        names = self._names(key)
        if names and all(map(self._partial.is_sound, names)):
            self._note(key, self._read(key))
            return
        self._partial.remove(names)
        try:
            if key in self._old_ids:
                self._note(key, self._read(key))
            elif names:
                self.damaged.add(key)
        except DamagedError:
            self.damaged.add(key)

    def _note(self, key: str, embedding: Embedding) -> None:
        shapes = {name: array.shape for name, array in embedding.arrays.items()}
        self._found[key] = _Found(shapes, embedding_checksum(embedding))

    def add(self, found: Mapping[str, Embedding]) -> None:
        self._partial.add(part for key, embedding in found.items() for part in _cut(key, embedding))
        for key, embedding in found.items():
            self._note(key, embedding)

    def finish(self, rows: Sequence[Row], settings: Mapping[str, Any]) -> None:
        old = {} if self._old is None else self._old.rows
        ids = {row.id for row in rows}
        others = [row for row in old.values() if row.id not in ids]
        self.lost = [row for row in others if row.key not in self]
        everything = [*rows, *(row for row in others if row.key in self)]
        used = {row.key for row in everything}
        if everything and (everything != list(old.values()) or used & self._partial.keys):
            self._write(Contents(settings, everything, self._shapes, self._checksum, lambda row: self._read(row.key)))
        names = {name for key in used for name in self._names(key)}
        self._left = self._partial.keys - names
        self.kept = sum("/" not in name for name in self._left)
        if self._left:  # else all of it is deleted
            self._partial.remove(names)

    def _write(self, contents: Contents) -> None:
        self._partial.commit()
        scratch = partial_folder(self.path) / f"whole{self.path.suffix}"
        self._format.write(scratch, contents)
        self._close_old()
        replace_file(scratch, self.path)

    def _read(self, key: str) -> Embedding:
        names = self._names(key)
        if names:
            return _joined([self._partial.read(name) for name in names])
        assert self._old is not None
        return self._old[self._old_ids[key]]

    def _names(self, key: str) -> list[str]:
        """Return what an embedding's parts are called in the database, see `_cut`; none if it is not there."""
        if key not in self._partial.keys:
            return []
        further = takewhile(self._partial.keys.__contains__, (f"{key}/{number}" for number in count(1)))
        return [key, *further]

    def _shapes(self, row: Row) -> Mapping[str, Sequence[int]]:
        return self._found[row.key].shapes

    def _checksum(self, row: Row) -> int:
        return self._found[row.key].checksum

    def _close_old(self) -> None:
        if self._old is not None:
            self._old.close()  # some systems do not replace a file that is open
        self._old = None


def _cut(key: str, embedding: Embedding) -> Iterator[tuple[str, Embedding]]:
    """Cut an embedding into parts that SQLite takes as one value. What is called by the key alone comes last: where it
    is there, all are."""
    if embedding.residues is None or embedding.residues.nbytes <= _PART_BYTES:
        yield key, embedding
        return
    first, *further = np.array_split(embedding.residues, -(-embedding.residues.nbytes // _PART_BYTES), axis=-2)
    for number, part in enumerate(further, start=1):
        yield f"{key}/{number}", Embedding(part, None)
    yield key, Embedding(first, embedding.pooled)


def _joined(parts: Sequence[Embedding]) -> Embedding:
    if len(parts) == 1:
        return parts[0]
    return Embedding(
        np.concatenate([part.residues for part in parts if part.residues is not None], -2), parts[0].pooled
    )


def partial_folder(path: Path) -> Path:
    """Where a run keeps what it has, beside its output."""
    return path.with_name(f".{path.name}.partial")


def replace_file(fresh: Path, path: Path) -> None:
    """Put a finished file in its place: a reader sees the one before or this."""
    with fresh.open("rb+") as file:
        os.fsync(file.fileno())  # else a power cut could leave the name on an empty file
    os.replace(fresh, path)


def sequence_key(sequence: str) -> str:
    """32 hexadecimal digits that name a sequence: the start of its SHA-256."""
    return hashlib.sha256(sequence.encode()).hexdigest()[:32]
