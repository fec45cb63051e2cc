"""The files inside a Debian package: an `ar` archive whose member data.tar.* holds them."""

from __future__ import annotations

import io
from pathlib import Path

from lowmem_fold.errors import InputError

__all__ = ["data_archive"]


def data_archive(path: Path) -> io.BytesIO:
    """The tar archive (compressed as it is) of a package's files.

    Raises
    ------
    InputError
        The file is not a Debian package, or has no such archive.
    """
    with path.open("rb") as file:
        if file.read(8) != b"!<arch>\n":
            raise InputError("not a Debian package")
        while header := file.read(60):
            name, size = header[:16].decode("latin-1").strip().rstrip("/"), int(header[48:58])
            if name.startswith("data.tar"):
                return io.BytesIO(file.read(size))
            file.seek(size + size % 2, io.SEEK_CUR)
    raise InputError("a Debian package without data")
