"""A lock on an output folder, so that two runs never write into it at once."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from pathlib import Path
from types import TracebackType

from ..errors import InputError, OutputLostError
from .files import open_own, refuse_link

__all__ = ["LOCK", "FolderLock"]

LOCK = ".lowmem_fold.lock"
_BUSY = {errno.EAGAIN, errno.EACCES, errno.EDEADLK}
_log = logging.getLogger(__name__)


class FolderLock:
    """A lock that the system drops with the process that held it: one left by a killed run does not count.

    Parameters
    ----------
    folder : Path
        Must exist when the lock is entered.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / LOCK
        self._descriptor: int | None = None

    def check(self) -> None:
        """Raise InputError if another run holds the folder, or the lock is a link; leaves nothing behind."""
        refuse_link(self._path)
        if self._path.exists() and os.access(self._path, os.W_OK):
            with self:
                pass

    def is_abandoned(self) -> bool:
        """Whether a run left its lock here and is dead; False where there is no lock, or that cannot be found out."""
        try:
            descriptor = os.open(self._path, os.O_RDWR)
        except OSError:
            return False
        try:
            _lock(descriptor)
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return True

    def is_held(self) -> bool:
        """Whether the folder is still the one that was locked: our lock stands at its place in it.

        The lock is open, so that no other file can have its device and inode; and a folder of that name that was made
        anew, or moved there, holds another lock or none.
        """
        return self._descriptor is not None and _is_at(self._descriptor, self._path)

    def check_held(self) -> None:
        """Raise OutputLostError if the folder was removed, or replaced, or its lock was removed."""
        if not self.is_held():
            raise OutputLostError(f"{self._folder}: {_what_became_of(self._folder)}")

    def __enter__(self) -> FolderLock:
        while True:
            descriptor = open_own(self._path, os.O_RDWR | os.O_CREAT)
            try:
                _lock(descriptor)
            except OSError as error:
                self._refuse_if_busy(descriptor, error)
                _log.warning("%s cannot be locked here (%s): nothing stops a second run", self._folder, error)
            # The run that held it before may have removed the file between our opening and our locking it.
            if _is_at(descriptor, self._path):
                break
            os.close(descriptor)
        os.truncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()}\n".encode())
        self._descriptor = descriptor
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._descriptor is not None
        with contextlib.suppress(OSError):  # Windows keeps a file that is open; the next run reuses it
            if self.is_held():  # else it is the lock of another run
                self._path.unlink()
        os.close(self._descriptor)
        self._descriptor = None

    def _refuse_if_busy(self, descriptor: int, error: OSError) -> None:
        if error.errno not in _BUSY:
            return
        holder = _read_holder(descriptor)
        os.close(descriptor)
        raise InputError(
            f"{self._folder}: another run{holder} is writing into this folder. Wait for it to end, or give another "
            "folder with -o."
        ) from None


def _lock(descriptor: int) -> None:
    try:
        import fcntl
    except ImportError:
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined, unused-ignore]
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _read_holder(descriptor: int) -> str:
    try:
        text = os.pread(descriptor, 100, 0).decode(errors="replace").strip()
    except (AttributeError, OSError):  # Windows has no pread, and does not let a locked byte be read
        return ""
    return f" ({text})" if text else ""


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except (FileNotFoundError, NotADirectoryError):
        return False


def _what_became_of(folder: Path) -> str:
    if not os.path.lexists(folder):
        return (
            "the folder was removed or moved while this run wrote into it, and what was finished went with it. Nothing "
            "more is written. Run the same command again to fold all records anew, or put the folder back first."
        )
    if not folder.is_dir():
        return (
            "a file was put in the place of the folder while this run wrote into it. Nothing more is written. Remove "
            "that file or give another folder with -o, and run the command again."
        )
    return (
        "the folder was replaced by another one, or its lock was removed, while this run wrote into it. Nothing more "
        "is written: another run may use it. See what is there, and run the command again, with another -o if need be."
    )
