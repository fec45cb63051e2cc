"""Files of embeddings, by their endings. Imports nothing heavy until one is opened."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import InputError

if TYPE_CHECKING:
    from .file import EmbeddingFile
    from .store import Store

__all__ = ["ENDINGS", "check_ending", "find_store", "read_embeddings"]

#: Endings of names, and the module that knows such files.
ENDINGS = {
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".sqlite": "sqlite",
    ".db": "sqlite",
    ".safetensors": "tensors",
    ".pt": "pickled",
}


def check_ending(path: str | Path) -> str:
    """The module that writes a file of this name. InputError if none does."""
    ending = Path(path).suffix.lower()
    if ending not in ENDINGS:
        raise InputError(f"{path}: no file of embeddings has this ending; choose from: {', '.join(ENDINGS)}")
    return ENDINGS[ending]


def find_store(path: str | Path) -> Store:
    """Where a run can put embeddings, for a file of this name. InputError if it has none of `ENDINGS`."""
    if check_ending(path) == "sqlite":  # a database is added to; files of the other kinds are written whole
        from .sqlite import SqliteStore

        return SqliteStore(Path(path))
    from .store import FileStore

    return FileStore(Path(path), _module(path))


def read_embeddings(path: str | Path) -> EmbeddingFile:
    """Open a file that `lowmem-fold embed` wrote: a mapping of ids to `Embedding`, in the order of the input.

    Raises
    ------
    InputError
        There is no such file, or it is another.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: there is no such file")
    return _module(path).Reader(Path(path))


def _module(path: str | Path) -> Any:
    return import_module(f".{check_ending(path)}", __name__)
