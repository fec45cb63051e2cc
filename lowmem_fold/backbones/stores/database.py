"""A SQLite database of embeddings, open to be added to: what a run of `.sqlite` writes, and where a run of another
format keeps what it has until the end."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from ...system.files import open_own, refuse_link
from ..vectors import Embedding
from .head import SCHEMA, Head, Row, embedding_checksum, head_checksum, parse_head
from .settings import refuse_mixture

__all__ = [
    "MOST_BYTES",
    "Database",
    "companions",
    "connect",
    "delete_database",
    "read_embedding",
    "read_head",
    "remove_companions",
    "settle",
]

#: Of one value, as SQLite is built by default.
MOST_BYTES = 10**9
# A transaction waits for the disk, which takes longer than a batch of short sequences: a kill loses what came since.
_COMMIT_SECONDS = 1.0
_TABLES = """
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE embeddings (
    key TEXT PRIMARY KEY, checksum INTEGER, residues BLOB, residues_shape TEXT, pooled BLOB, pooled_shape TEXT);
CREATE TABLE records (
    position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, key TEXT NOT NULL REFERENCES embeddings (key),
    length INTEGER NOT NULL);
CREATE VIEW embedded AS
    SELECT position, id, length, residues, residues_shape, pooled, pooled_shape
    FROM records JOIN embeddings USING (key) ORDER BY position;
"""
_COLUMNS = "residues, residues_shape, pooled, pooled_shape"


class Database:
    """Embeddings by key, and the records that have them.

    Parameters
    ----------
    path : Path
        A database that `begin` made.

    Raises
    ------
    InputError
        It cannot be read: names it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = connect(path, "rw")
        self._committed = time.monotonic()
        try:
            head = read_head(self._connection)
            self.settings, self.rows = head.settings, head.rows
            self._prepare(head)
            self._keys = {key for (key,) in self._connection.execute("SELECT key FROM embeddings")}
        except (sqlite3.Error, KeyError, TypeError, ValueError) as error:
            self._connection.close()
            raise _beyond_repair(path, error) from None

    @classmethod
    def begin(cls, path: Path, settings: Mapping[str, Any], overwrite: bool) -> Database:
        """Open what an interrupted run left, or else an empty database. InputError if that run had other settings, or
        what it left is damaged, and it is not to be overwritten; or if a link stands there."""
        refuse_link(path)
        try:
            if _has_tables(path):
                found = cls(path)
                try:
                    refuse_mixture(f"{path.parent} (of an interrupted run)", found.settings, settings)
                    return found
                except InputError:
                    found.close()
                    raise
        except InputError:
            if not overwrite:
                raise
        delete_database(path)
        os.close(open_own(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.executescript(f"BEGIN; {_TABLES}")
            _put_head(connection, settings, [])
        return cls(path)

    def _prepare(self, head: Head) -> None:
        """Mend what can be made anew: the table of embeddings, and the checksums that a file of schema 1 has not."""
        with self._connection:
            columns = [row[1] for row in self._connection.execute("PRAGMA table_info(embeddings)")]
            if not columns:
                tables = _TABLES.split(";")
                self._connection.execute(next(each for each in tables if "TABLE embeddings" in each))
            if head.schema == 1 and columns and "checksum" not in columns:
                self._connection.execute("ALTER TABLE embeddings ADD COLUMN checksum INTEGER")
                for (key,) in self._connection.execute("SELECT key FROM embeddings").fetchall():
                    with suppress(ValueError, TypeError):  # without a checksum it counts as damaged
                        value = embedding_checksum(read_embedding(self._connection, key)[0])
                        self._connection.execute("UPDATE embeddings SET checksum = ? WHERE key = ?", (value, key))
            if head.schema == 1:
                _put_head(self._connection, head.settings, list(head.rows.values()))

    @property
    def keys(self) -> set[str]:
        """Of all embeddings, sound or not."""
        return self._keys

    def is_sound(self, key: str) -> bool:
        """Whether an embedding is there as it was written. OSError if the database cannot be read now."""
        try:
            with _as_os_errors():
                embedding, checksum = read_embedding(self._connection, key)
        except (sqlite3.Error, KeyError, TypeError, ValueError):
            return False
        return checksum == embedding_checksum(embedding)

    def read(self, key: str) -> Embedding:
        """Read an embedding that is there."""
        return read_embedding(self._connection, key)[0]

    def add(self, found: Iterable[tuple[str, Embedding]]) -> None:
        """Keep embeddings by key. They outlast this process once it is `commit`ted, which is done here each second."""
        added: list[str] = []

        def values() -> Iterator[tuple[Any, ...]]:
            for key, embedding in found:
                added.append(key)
                yield key, embedding_checksum(embedding), *_columns(embedding.residues), *_columns(embedding.pooled)

        with _as_os_errors():
            self._connection.executemany(
                f"INSERT OR REPLACE INTO embeddings (key, checksum, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", values()
            )
            self._keys.update(added)
            if time.monotonic() - self._committed >= _COMMIT_SECONDS:
                self.commit()

    def remove(self, keys: Iterable[str]) -> None:
        """Give embeddings up."""
        given_up = self._keys.intersection(keys)
        with _as_os_errors():
            self._connection.executemany("DELETE FROM embeddings WHERE key = ?", [(key,) for key in given_up])
        self._keys -= given_up

    def put_head(self, settings: Mapping[str, Any], rows: Sequence[Row]) -> None:
        """Make these the settings and the records, all or, after an error, none; what was added before stays."""
        self.commit()
        with _as_os_errors(), self._connection:
            self._connection.execute("DELETE FROM records")
            self._connection.executemany(
                "INSERT INTO records (position, id, key, length) VALUES (?, ?, ?, ?)",
                [(position, row.id, row.key, row.length) for position, row in enumerate(rows)],
            )
            _put_head(self._connection, settings, rows)

    def commit(self) -> None:
        """Put what was added on the disk."""
        with _as_os_errors():
            self._connection.commit()
        self._committed = time.monotonic()

    def close(self) -> None:
        """Keep what was added, as far as the disk takes it, and let go of the file."""
        with suppress(sqlite3.Error):
            self._connection.commit()
        self._connection.close()


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """Open a file that is there. mode: `ro` or `rw`."""
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True)


def companions(path: Path) -> list[Path]:
    """Return the files of a transaction that SQLite has beside its own."""
    return [path.with_name(f"{path.name}-{ending}") for ending in ("journal", "wal", "shm")]


def remove_companions(path: Path) -> None:
    """Delete them; else SQLite would undo in a new file what was begun in the one before."""
    for companion in companions(path):
        companion.unlink(missing_ok=True)


def delete_database(path: Path) -> None:
    """Delete a database that may be there, and what belongs to it."""
    path.unlink(missing_ok=True)
    remove_companions(path)


def _has_tables(path: Path) -> bool:
    """Whether a database is there and was begun. InputError if something else is there."""
    if not path.exists():
        return False
    with closing(connect(path, "rw")) as connection:
        try:
            return bool(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
        except sqlite3.Error as error:
            raise _beyond_repair(path, error) from None


def _beyond_repair(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: it is damaged, and cannot be added to ({error}). Add --overwrite to begin anew")


def settle(path: Path) -> bool:
    """Undo a transaction that a kill has left, as SQLite does where it may write. False if there is none, or it may
    not."""
    if not any(companion.exists() for companion in companions(path)):
        return False
    try:
        with closing(connect(path, "rw")) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error:
        return False
    return True


def read_head(connection: sqlite3.Connection) -> Head:
    """Read settings and records. sqlite3.Error, KeyError, TypeError or ValueError if they are not ours."""
    said = {name: json.loads(value) for name, value in connection.execute("SELECT name, value FROM settings")}
    schema, checksum = said.pop("schema"), said.pop("checksum", None)
    rows = connection.execute("SELECT id, key, length FROM records ORDER BY position").fetchall()
    return parse_head(schema, said, rows, checksum)


def _put_head(connection: sqlite3.Connection, settings: Mapping[str, Any], rows: Sequence[Row]) -> None:
    said = {"schema": SCHEMA, "checksum": head_checksum(settings, rows), **settings}
    values = [(name, json.dumps(value)) for name, value in said.items()]
    connection.execute("DELETE FROM settings")
    connection.executemany("INSERT INTO settings (name, value) VALUES (?, ?)", values)


def read_embedding(connection: sqlite3.Connection, key: str, has_checksum: bool = True) -> tuple[Embedding, int | None]:
    """Read an embedding and its checksum. KeyError if it is not there, ValueError or TypeError if it is damaged."""
    columns = f"{_COLUMNS}, {'checksum' if has_checksum else 'NULL'}"
    row = connection.execute(f"SELECT {columns} FROM embeddings WHERE key = ?", (key,)).fetchone()
    if row is None:
        raise KeyError("it is not in the table")
    return Embedding(_array(*row[:2]), _array(*row[2:4])), row[4]


def _columns(array: np.ndarray | None) -> tuple[memoryview | None, str | None]:
    return (None, None) if array is None else (np.ascontiguousarray(array, "<f4").data, json.dumps(array.shape))


def _array(data: bytes | None, shape: str | None) -> np.ndarray | None:
    if data is None or shape is None:
        return None
    return np.frombuffer(data, "<f4").reshape(json.loads(shape)).astype(np.float32)


@contextmanager
def _as_os_errors() -> Iterator[None]:
    """Raise a full disk as the system's error, whoever tells of it."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise OSError(str(error)) from error
