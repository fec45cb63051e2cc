"""Writing a file whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ..errors import InputError

__all__ = ["check_output_file", "nearest_existing", "write_bytes_atomic", "write_text_atomic"]


def check_output_file(path: str | Path, overwrite: bool) -> None:
    """InputError if a file cannot be written there, or is there and is not to be overwritten. For the start of a run:
    reads only."""
    place = Path(path)
    folder = place.absolute().parent
    if not str(path).strip() or place.is_dir():
        raise InputError(f"{str(path)!r} is no name of a file to write: give one with -o")
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise InputError(f"{path} cannot be written: {folder} is {'not writable' if folder.is_dir() else 'no folder'}")
    if place.exists() and not overwrite:
        raise InputError(f"{path} is there already: give another name with -o, or add --overwrite")


def nearest_existing(path: Path) -> Path:
    """The path, or the first of the folders around it that is there: where it would be made."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def write_text_atomic(path: str | Path, text: str) -> Path:
    """`write_bytes_atomic` of UTF-8 text; line ends are ``\\n`` on every system."""
    return write_bytes_atomic(path, text.encode("utf-8"))


def write_bytes_atomic(path: str | Path, data: bytes) -> Path:
    """Write under a temporary name beside ``path``, then rename it: a reader sees the old file or the new.

    The temporary name is ``.<name>.<process>.tmp``; only a killed process leaves one behind. Returns ``path``.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # else a power cut could leave the new name on an empty file
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    return path
