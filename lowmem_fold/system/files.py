"""Writing a file whole or not at all, and never into a file of somebody else."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ..errors import InputError

__all__ = [
    "check_output_file",
    "nearest_existing",
    "open_own",
    "own_folder",
    "refuse_link",
    "replacing",
    "write_bytes_atomic",
    "write_text_atomic",
]


def check_output_file(path: str | Path, overwrite: bool) -> None:
    """InputError if a file cannot be written there, or is there and is not to be overwritten. For the start of a run:
    reads only."""
    place = Path(path)
    folder = place.absolute().parent
    if not str(path).strip() or place.is_dir():
        raise InputError(f"{str(path)!r} is not the name of a file to write: give one with -o")
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise InputError(
            f"{path} cannot be written: {folder} is {'not writable' if folder.is_dir() else 'not a folder'}"
        )
    if place.exists() and not overwrite:
        raise InputError(f"{path} exists already: give another name with -o, or add --overwrite")


def nearest_existing(path: Path) -> Path:
    """Return the path, or the first of the folders around it that is there: where it would be made.

    Raises
    ------
    InputError
        If a name is too long, or a link points to nothing: no folder can be made there.
    """
    while not _exists(path) and path != path.parent:
        if path.is_symlink():
            raise InputError(
                f"{path}: is a link to {os.readlink(path)}, which is not there. Give another place with -o."
            )
        path = path.parent
    return path


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise InputError(f"{path}: the name is too long for this system. Give a shorter one with -o.") from None
        if not (isinstance(error, (FileNotFoundError, NotADirectoryError)) or error.errno == errno.ELOOP):
            raise InputError(f"{path}: cannot be looked at ({error.strerror}). Give another place with -o.") from None
        return False
    except ValueError as error:  # a NUL in the name
        raise InputError(f"{str(path)!r} cannot name a folder ({error}). Give another one with -o.") from None
    return True


def refuse_link(path: Path, *, folder: bool = False) -> None:
    """Refuse a place where a run would write into a file of somebody else. Reads only.

    Parameters
    ----------
    path : Path
        A file, or a folder, of a run. It need not be there.
    folder : bool
        Whether it must be a folder.

    Raises
    ------
    InputError
        If it is a link, or a file that has a second name (a hard link), or neither a file nor a folder, as wanted.
    """
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return
    _refuse_foreign(path, status, stat.S_ISDIR if folder else stat.S_ISREG)


def own_folder(path: Path) -> Path:
    """Make a folder of a run where there is none, and return it; InputError if a link stands there."""
    refuse_link(path, folder=True)
    path.mkdir(parents=True, exist_ok=True)
    refuse_link(path, folder=True)
    return path


def open_own(path: Path, flags: int) -> int:
    """Open a file of a run for writing: the one place that does so.

    Parameters
    ----------
    path : Path
    flags : int
        As of ``os.open``. A new file gets the mode of any new file.

    Returns
    -------
    int
        The descriptor, without translation of line ends.

    Raises
    ------
    InputError
        As `refuse_link`.
    """
    refuse_link(path)
    flags |= getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        # Where the system has no O_NOFOLLOW, as on Windows, the look before is all there is.
        descriptor = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)
    except OSError:
        refuse_link(path)  # put there in between: say so
        raise
    try:
        _refuse_foreign(path, os.fstat(descriptor), stat.S_ISREG)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _refuse_foreign(path: Path, status: os.stat_result, is_wanted: Callable[[int], bool]) -> None:
    if stat.S_ISLNK(status.st_mode):
        what = "is a link, and a run would write into what it points to"
    elif not is_wanted(status.st_mode):
        what = f"is not a {'folder' if is_wanted is stat.S_ISDIR else 'file'}, and a run has one of that name"
    elif stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
        what = "is a hard link, a second name of a file elsewhere, and a run would write into that"
    else:
        return
    raise InputError(f"{path}: {what}. Remove it or put a copy in its place, or give another folder with -o.")


def write_text_atomic(path: str | Path, text: str) -> Path:
    """`write_bytes_atomic` of UTF-8 text; line ends are ``\\n`` on every system."""
    return write_bytes_atomic(path, text.encode("utf-8"))


def write_bytes_atomic(path: str | Path, data: bytes) -> Path:
    """Write bytes under a temporary name beside ``path``, then rename it: a reader sees the old file or the new.

    Returns ``path``.
    """
    with replacing(path) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())  # else a power cut could leave the new name on an empty file
    return Path(path)


@contextmanager
def replacing(path: str | Path) -> Iterator[BinaryIO]:
    """Open a new file beside ``path``, which takes its place when the block ends without an error.

    The temporary name is ``.<name>.<16 random digits>.tmp``: none that somebody could have put a link at before. Only a
    killed process leaves one behind. A link at ``path`` is replaced; what it points to stays as it is.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    descriptor = open_own(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
