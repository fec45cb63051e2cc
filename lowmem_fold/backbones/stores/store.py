"""Where a run puts its results: what is finished stays, whatever happens."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from ...errors import InputError
from ...run.lock import FolderLock
from ..embedding import Embedding
from .file import Contents, EmbeddingFile, Row
from .journal import Journal
from .settings import refuse_mixture

__all__ = ["FileFormat", "FileStore", "Store", "partial_folder", "replace_file", "sequence_key"]


class Store(Protocol):
    """What a run needs of its output; `path` is the file that there is in the end."""

    path: Path

    def check(self, rows: Sequence[Row], floats: int) -> None:
        """InputError if these records, the longest of so many numbers, cannot be written."""

    def present(self) -> EmbeddingFile | None:
        """The file that is there; None if there is none. InputError if it is no such file."""

    def opened(self, settings: Mapping[str, Any], overwrite: bool) -> AbstractContextManager[object]:
        """Within, results can be added. The file that is there has these settings, or is not to count (`overwrite`).

        InputError if another run is at it, or one was interrupted that had other settings.
        """

    def __contains__(self, key: str) -> bool:
        """Whether the embedding of a sequence is there."""

    def add(self, found: Mapping[str, Embedding]) -> None:
        """Keep embeddings by the keys of their sequences: each whole, or not at all."""

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


class FileStore:
    """A file that is written whole, from a journal beside it, and then takes the place of the one before."""

    def __init__(self, path: Path, format: FileFormat) -> None:
        self.path, self._format = path, format
        self._old: EmbeddingFile | None = None
        self._old_ids: dict[str, str] = {}  # by key
        self._settings: Mapping[str, Any] = {}

    def check(self, rows: Sequence[Row], floats: int) -> None:
        self._format.check(rows, floats)

    def present(self) -> EmbeddingFile | None:
        return self._format.Reader(self.path) if self.path.exists() else None

    @contextmanager
    def opened(self, settings: Mapping[str, Any], overwrite: bool) -> Iterator[FileStore]:
        folder = partial_folder(self.path)
        folder.mkdir(parents=True, exist_ok=True)
        with FolderLock(folder):
            self._settings = settings
            self._journal = Journal(folder / "journal")
            try:
                self._begin(folder, overwrite)
                yield self
            finally:
                self._journal.close()
                self._close_old()
            if not self._left:
                (folder / "journal").unlink()
        with suppress(OSError):  # a log of failures may be left there
            folder.rmdir()

    def _begin(self, folder: Path, overwrite: bool) -> None:
        self._left = True
        self._old = None if overwrite else self.present()
        self._old_ids = {} if self._old is None else {row.key: row.id for row in self._old.rows.values()}
        if self._journal.settings is not None:
            try:
                refuse_mixture(f"{folder} (of an interrupted run)", self._journal.settings, self._settings)
                return
            except InputError:
                if not overwrite:
                    raise
        self._journal.begin(self._settings)

    def __contains__(self, key: str) -> bool:
        return key in self._journal or key in self._old_ids

    def add(self, found: Mapping[str, Embedding]) -> None:
        self._journal.add(found)

    def finish(self, rows: Sequence[Row], settings: Mapping[str, Any]) -> None:
        old = {} if self._old is None else self._old.rows
        ids = {row.id for row in rows}
        everything = [*rows, *(row for row in old.values() if row.id not in ids)]
        if everything != list(old.values()):
            scratch = partial_folder(self.path) / f"whole{self.path.suffix}"
            self._format.write(scratch, Contents(settings, everything, self._shapes, self._read))
            self._close_old()
            replace_file(scratch, self.path)
        self._left = False

    def _read(self, row: Row) -> Embedding:
        if row.key in self._journal:
            return self._journal.read(row.key)
        assert self._old is not None
        return self._old[self._old_ids[row.key]]

    def _shapes(self, row: Row) -> Mapping[str, Sequence[int]]:
        if row.key in self._journal:
            return self._journal.shapes(row.key)
        return {name: array.shape for name, array in self._read(row).arrays.items()}

    def _close_old(self) -> None:
        if self._old is not None:
            self._old.close()  # some systems do not replace a file that is open
        self._old = None


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
