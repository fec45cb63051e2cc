"""A file of embeddings, whatever its format: what stands in it, and what it is made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError, first_line
from ..vectors import Embedding
from .head import Head, Row, array_names, embedding_checksum

__all__ = ["Contents", "DamagedError", "EmbeddingFile", "not_ours"]


class DamagedError(InputError):
    """An embedding is not as it was written: names the file and the record."""


class EmbeddingFile(Mapping[str, Embedding], ABC):
    """Embeddings by the ids of their records, in the order of the input. Closed by `close`, or where it is entered.

    An embedding is compared with its checksum when it is read; a file of schema 1 has none.

    Attributes
    ----------
    path : Path
    schema : int
    settings : dict
        What decided the numbers: model and its fingerprint, precision, layers, poolings, what became of long
        sequences, version; and beside that, under `about`, device, placement, attention and versions.
    rows : dict of str to Row

    Raises
    ------
    InputError
        It is not such a file, or its head is damaged.
    """

    schema: int
    settings: dict[str, Any]
    rows: dict[str, Row]

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_open = True
        try:
            self._head = self._open()
        except (InputError, MemoryError):
            self.close()
            raise
        except Exception as error:  # of the format's library, or of what the file says
            refusal = self._refusal(error)
            self.close()
            raise refusal from None
        self.schema, self.settings, self.rows = self._head.schema, self._head.settings, self._head.rows

    def __getitem__(self, id: str) -> Embedding:
        row = self.rows[id]
        if not self.is_open:
            raise InputError(f"{self.path} is closed: read {id!r} before that")
        try:
            embedding = self._read(row)
        except (InputError, MemoryError):
            raise
        except Exception as error:  # whatever the format's library makes of a damaged file
            raise self._damaged(id, first_line(error)) from None
        wanted = array_names(self.settings).keys()
        if embedding.arrays.keys() != wanted or any(a.dtype != np.float32 for a in embedding.arrays.values()):
            raise self._damaged(id, "other arrays than its settings say")
        if self.schema > 1 and embedding_checksum(embedding) != self.checksum(row):
            raise self._damaged(id, "another checksum than when it was written")
        return embedding

    def is_sound(self, id: str) -> bool:
        """Whether the embedding of a record can be read, and is as it was written."""
        try:
            self[id]
        except DamagedError:
            return False
        return True

    def checksum(self, row: Row) -> int | None:
        """Return what was written as the checksum of a row's embedding; None in schema 1."""
        return self._head.checksums.get(row.key)

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __enter__(self) -> EmbeddingFile:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self.is_open = False

    @abstractmethod
    def _open(self) -> Head:
        """Open the file and read its head. Any error if it is not such a file."""

    @abstractmethod
    def _read(self, row: Row) -> Embedding:
        """Read an embedding, without a check. Any error if it is not there."""

    def _refusal(self, error: Exception) -> InputError:
        return not_ours(self.path, error)

    def _damaged(self, id: str, found: str) -> DamagedError:
        return DamagedError(
            f"{self.path}: the embedding of {id!r} is damaged ({found}). Run the same embed command again: it makes"
            " what is damaged anew."
        )


@dataclass(frozen=True)
class Contents:
    """What a file is to hold.

    Attributes
    ----------
    settings : Mapping
        As of `EmbeddingFile`.
    rows : sequence of Row
        In the order of the file; several may have one key.
    shapes : callable
        Of a row's arrays, by name.
    checksum : callable
        Of a row's embedding.
    read : callable
        The embedding of a row.
    """

    settings: Mapping[str, Any]
    rows: Sequence[Row]
    shapes: Callable[[Row], Mapping[str, Sequence[int]]]
    checksum: Callable[[Row], int]
    read: Callable[[Row], Embedding]

    def listed_rows(self) -> list[list[Any]]:
        """Return what `parse_head` reads of the rows: id, key, length and checksum of each."""
        return [[row.id, row.key, row.length, self.checksum(row)] for row in self.rows]


def not_ours(path: Path, error: object = None) -> InputError:
    """Return the error that a file is none of these, or that its head is damaged."""
    found = "it does not say what it was made with" if error is None else str(error).strip().split("\n")[0]
    return InputError(
        f"{path}: this is not a file of embeddings that lowmem-fold wrote, or it is damaged ({found})."
        " Give another file with -o, or add --overwrite to replace it."
    )
