"""SQLite, written in transactions: nothing is written twice, and a file can be added to without being made anew.

| table | columns |
|---|---|
| `settings` | `name`, `value` (JSON); among them `schema`, and `checksum`, of the settings and the records |
| `records` | `position` (of the input, from 0), `id`, `key` (names the sequence), `length` |
| `embeddings` | `key`; `checksum`; `residues`, `pooled` (float32, little-endian), each with its `..._shape` (JSON) |

The view `embedded` joins them: `SELECT pooled FROM embedded WHERE id = 'P12345'`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...system.files import own_folder
from ...system.lock import FolderLock
from ..vectors import Embedding
from .database import (
    MOST_BYTES,
    Database,
    companions,
    connect,
    delete_database,
    read_embedding,
    read_head,
    remove_companions,
    settle,
)
from .file import EmbeddingFile, not_ours
from .head import Head, Row, check_ids
from .store import partial_folder, replace_file

__all__ = ["Reader", "SqliteStore"]


class SqliteStore:
    """A new file grows beside its place and is moved there at the end; one that is there is added to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damaged: set[str] = set()
        self.lost: list[Row] = []
        self.kept = 0
        self._sound: set[str] = set()

    def check(self, rows: Sequence[Row], floats: int) -> None:
        """InputError if SQLite cannot hold an embedding, or an id."""
        if 4 * floats > MOST_BYTES:
            raise InputError(
                f"the longest record has {4 * floats:,} bytes of embeddings, and SQLite takes {MOST_BYTES:,} in one"
                " value; write .h5, or fewer layers"
            )
        check_ids(rows)

    def present(self) -> EmbeddingFile | None:
        return Reader(self.path) if self.path.exists() else None

    @contextmanager
    def opened(self, settings: Mapping[str, Any], overwrite: bool) -> Iterator[SqliteStore]:
        folder = own_folder(partial_folder(self.path))
        with FolderLock(folder):
            if self.path.exists() and not overwrite:
                self._database = Database(self.path)
            else:
                self._database = Database.begin(folder / f"whole{self.path.suffix}", settings, overwrite)
            try:
                yield self
            finally:
                self._database.close()
        with suppress(OSError):
            folder.rmdir()

    def __contains__(self, key: str) -> bool:
        if key in self._database.keys and key not in self._sound | self.damaged:
            (self._sound if self._database.is_sound(key) else self.damaged).add(key)
        return key in self._sound

    def add(self, found: Mapping[str, Embedding]) -> None:
        self._database.add(found.items())
        self._sound.update(found)

    def finish(self, rows: Sequence[Row], settings: Mapping[str, Any]) -> None:
        ids, gone = {row.id for row in rows}, self.damaged - self._sound
        self._database.remove(gone)
        others = [row for row in self._database.rows.values() if row.id not in ids]
        self.lost = [row for row in others if row.key not in self._database.keys]
        everything = [*rows, *(row for row in others if row.key in self._database.keys)]
        self.kept = len(self._database.keys - {row.key for row in everything})
        if self._database.path == self.path:
            self._database.put_head(settings, everything)
        elif everything:
            self._database.put_head(settings, everything)
            self._database.close()
            settle(self.path)
            remove_companions(self.path)
            replace_file(self._database.path, self.path)
        elif not self.kept:
            self._database.close()
            delete_database(self._database.path)


class Reader(EmbeddingFile):
    """InputError if it is no such file."""

    _connection: sqlite3.Connection | None = None

    def _open(self) -> Head:
        self._connection = connect(self.path, "ro")
        try:
            return read_head(self._connection)
        except sqlite3.OperationalError:  # a kill may have left a transaction, which reading cannot undo
            if not settle(self.path):
                raise
            return read_head(self._connection)

    def _read(self, row: Row) -> Embedding:
        assert self._connection is not None
        try:
            embedding, self._last_checksum = read_embedding(self._connection, row.key, self.schema > 1)
        except sqlite3.OperationalError as error:
            if _is_busy(error):
                raise self._refusal(error) from None
            raise
        return embedding

    def checksum(self, row: Row) -> int | None:
        return self._last_checksum

    def close(self) -> None:
        super().close()
        if self._connection is not None:
            self._connection.close()

    def _refusal(self, error: Exception) -> InputError:
        if _is_busy(error):
            return InputError(f"{self.path}: another program is writing to it; try again when that is done")
        if any(companion.exists() for companion in companions(self.path)):
            return InputError(
                f"{self.path}: an interrupted run has left a transaction, which cannot be undone here ({error}). Let"
                " the file and its folder be written to, and try again."
            )
        return not_ours(self.path, error)


def _is_busy(error: Exception) -> bool:
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))
