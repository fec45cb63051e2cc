"""A file of embeddings, whatever its format: what stands in it, and what it is made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import InputError
from ..embedding import Embedding

__all__ = ["SCHEMA", "Contents", "EmbeddingFile", "Row", "array_names", "not_ours"]

#: Rises when what stands in the files changes its meaning.
SCHEMA = 1


@dataclass(frozen=True)
class Row:
    """A record of the input.

    id: first word of its header. key: names its sequence, see `sequence_key`. length: residues of that.
    """

    id: str
    key: str
    length: int


class EmbeddingFile(Mapping[str, Embedding], ABC):
    """Embeddings by the ids of their records, in the order of the input. Closed by `close`, or where it is entered.

    Attributes
    ----------
    settings : dict
        What decided the numbers: model and its fingerprint, precision, layers, poolings, what became of long
        sequences, version; and beside that, under `about`, device, placement, attention and versions.
    rows : dict of str to Row
    """

    settings: dict[str, Any]
    rows: dict[str, Row]

    @abstractmethod
    def __getitem__(self, id: str) -> Embedding: ...

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
    read : callable
        The embedding of a row.
    """

    settings: Mapping[str, Any]
    rows: Sequence[Row]
    shapes: Callable[[Row], Mapping[str, Sequence[int]]]
    read: Callable[[Row], Embedding]


def array_names(settings: Mapping[str, Any]) -> dict[str, str]:
    """Names of an embedding's arrays, and what stands before a record's id where the array is filed: nothing, so that
    the id alone finds it, but where there are both."""
    both = {"residues": settings["residues"], "pooled": bool(settings["pool"])}
    names = [name for name, wanted in both.items() if wanted]
    return {name: f"{name}/" if len(names) > 1 else "" for name in names}


def not_ours(path: Path, error: object = None) -> InputError:
    """The error that a file is none of these."""
    found = "it does not say what it was made with" if error is None else str(error).strip().split("\n")[0]
    return InputError(
        f"{path}: is no file of embeddings that lowmem-fold wrote ({found}). Give another file with -o, or add"
        " --overwrite to replace it."
    )
