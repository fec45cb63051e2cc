"""SQLite, written in transactions: nothing is written twice, and a file can be added to without being made anew.

| table | columns |
|---|---|
| `settings` | `name`, `value` (JSON) |
| `records` | `position` (of the input, from 0), `id`, `key` (names the sequence), `length` |
| `embeddings` | `key`; `residues`, `pooled` (float32, little-endian, row by row), each with its `..._shape` (JSON) |

The view `embedded` joins them: `SELECT pooled FROM embedded WHERE id = 'P12345'`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from ...run.lock import FolderLock
from ..embedding import Embedding
from .file import SCHEMA, EmbeddingFile, Row, not_ours
from .settings import refuse_mixture
from .store import partial_folder, replace_file

__all__ = ["Reader", "SqliteStore"]

_MOST_BYTES = 10**9
"""Of one value, as SQLite is built by default."""
_TABLES = """
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE embeddings (
    key TEXT PRIMARY KEY, residues BLOB, residues_shape TEXT, pooled BLOB, pooled_shape TEXT);
CREATE TABLE records (
    position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, key TEXT NOT NULL REFERENCES embeddings (key),
    length INTEGER NOT NULL);
CREATE VIEW embedded AS
    SELECT position, id, length, residues, residues_shape, pooled, pooled_shape
    FROM records JOIN embeddings USING (key) ORDER BY position;
"""
_COLUMNS = "residues, residues_shape, pooled, pooled_shape"


class SqliteStore:
    """A new file grows beside its place and is moved there at the end; one that is there is added to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._keys: set[str] = set()

    def check(self, rows: Sequence[Row], floats: int) -> None:
        """InputError if SQLite cannot hold an embedding."""
        if 4 * floats > _MOST_BYTES:
            raise InputError(
                f"the longest record has {4 * floats:,} bytes of embeddings, and SQLite takes {_MOST_BYTES:,} in one"
                " value; write .h5, or fewer layers"
            )

    def present(self) -> EmbeddingFile | None:
        return Reader(self.path) if self.path.exists() else None

    @contextmanager
    def opened(self, settings: Mapping[str, Any], overwrite: bool) -> Iterator[SqliteStore]:
        folder = partial_folder(self.path)
        folder.mkdir(parents=True, exist_ok=True)
        with FolderLock(folder):
            self._file = self.path if self.path.exists() and not overwrite else folder / f"whole{self.path.suffix}"
            if overwrite or not self.path.exists():
                _make(self._file, settings, overwrite)
            with closing(sqlite3.connect(self._file)) as self._connection:
                self._keys = {key for (key,) in self._connection.execute("SELECT key FROM embeddings")}
                yield self
        with suppress(OSError):
            folder.rmdir()

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def add(self, found: Mapping[str, Embedding]) -> None:
        with _as_os_errors(), self._connection:
            self._connection.executemany(
                f"INSERT OR REPLACE INTO embeddings (key, {_COLUMNS}) VALUES (?, ?, ?, ?, ?)",
                [(key, *_columns(embedding.residues), *_columns(embedding.pooled)) for key, embedding in found.items()],
            )
        self._keys.update(found)

    def finish(self, rows: Sequence[Row], settings: Mapping[str, Any]) -> None:
        ids = {row.id for row in rows}
        everything = [*rows, *(row for row in _rows(self._connection).values() if row.id not in ids)]
        if not everything and self._file != self.path:
            self._connection.close()
            self._file.unlink()
            return
        with _as_os_errors(), self._connection:
            self._connection.execute("DELETE FROM records")
            self._connection.executemany(
                "INSERT INTO records (position, id, key, length) VALUES (?, ?, ?, ?)",
                [(position, row.id, row.key, row.length) for position, row in enumerate(everything)],
            )
            _put_settings(self._connection, settings)
        self._connection.close()
        if self._file != self.path:
            _settle(self.path)
            _remove_companions(self.path)
            replace_file(self._file, self.path)


class Reader(EmbeddingFile):
    """InputError if it is no such file."""

    def __init__(self, path: Path) -> None:
        self._connection = _connected(path, "ro")
        try:
            try:
                self._read()
            except sqlite3.OperationalError:  # a kill may have left a transaction, which reading cannot undo
                if not _settle(path):
                    raise
                self._read()
        except (sqlite3.Error, KeyError) as error:
            self._connection.close()
            raise _unreadable(path, error) from None

    def _read(self) -> None:
        self.settings = _settings(self._connection)
        self.rows = _rows(self._connection)

    def __getitem__(self, id: str) -> Embedding:
        row = self._connection.execute(
            f"SELECT {_COLUMNS} FROM embeddings WHERE key = ?", (self.rows[id].key,)
        ).fetchone()
        return Embedding(_array(*row[:2]), _array(*row[2:]))

    def close(self) -> None:
        self._connection.close()


def _connected(path: Path, mode: str) -> sqlite3.Connection:
    """To a file that is there. mode: `ro` or `rw`."""
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True)


def _companions(path: Path) -> list[Path]:
    """Files of a transaction that SQLite has beside its own."""
    return [path.with_name(f"{path.name}-{ending}") for ending in ("journal", "wal", "shm")]


def _remove_companions(path: Path) -> None:
    """Else SQLite would undo in a new file what was begun in the one before."""
    for companion in _companions(path):
        companion.unlink(missing_ok=True)


def _settle(path: Path) -> bool:
    """Undo a transaction that a kill has left, as SQLite does where it may write. False if there is none, or it may
    not."""
    if not any(companion.exists() for companion in _companions(path)):
        return False
    try:
        with closing(_connected(path, "rw")) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error:
        return False
    return True


def _unreadable(path: Path, error: Exception) -> InputError:
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return InputError(f"{path}: another program is writing to it; try again when that is done")
    if any(companion.exists() for companion in _companions(path)):
        return InputError(
            f"{path}: an interrupted run has left a transaction, which cannot be undone here ({error}). Let the file"
            " and its folder be written to, and try again."
        )
    return not_ours(path, error)


@contextmanager
def _as_os_errors() -> Iterator[None]:
    """A full disk is the system's error, whoever tells of it."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise OSError(str(error)) from error


def _make(path: Path, settings: Mapping[str, Any], overwrite: bool) -> None:
    """Make an empty file, or find that of an interrupted run."""
    with closing(sqlite3.connect(path)) as connection:
        try:
            refuse_mixture(f"{path.parent} (of an interrupted run)", _settings(connection), settings)
            return
        except (sqlite3.Error, KeyError):
            pass  # there was none, or it had only just begun
        except InputError:
            if not overwrite:
                raise
    path.unlink()
    _remove_companions(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"BEGIN; {_TABLES} COMMIT;")
        with connection:
            _put_settings(connection, settings)


def _put_settings(connection: sqlite3.Connection, settings: Mapping[str, Any]) -> None:
    values = [(name, json.dumps(value)) for name, value in {"schema": SCHEMA, **settings}.items()]
    connection.executemany("INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)", values)


def _settings(connection: sqlite3.Connection) -> dict[str, Any]:
    found = {name: json.loads(value) for name, value in connection.execute("SELECT name, value FROM settings")}
    if found.pop("schema") != SCHEMA:
        raise KeyError("the schema is of another version")
    return found


def _rows(connection: sqlite3.Connection) -> dict[str, Row]:
    found = connection.execute("SELECT id, key, length FROM records ORDER BY position")
    return {id: Row(id, key, length) for id, key, length in found}


def _columns(array: np.ndarray | None) -> tuple[bytes | None, str | None]:
    return (None, None) if array is None else (array.astype("<f4").tobytes(), json.dumps(array.shape))


def _array(data: bytes | None, shape: str | None) -> np.ndarray | None:
    if data is None or shape is None:
        return None
    return np.frombuffer(data, "<f4").reshape(json.loads(shape)).astype(np.float32)
