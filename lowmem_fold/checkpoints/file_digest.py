"""The SHA-256 of large files, which are read for it once: it is kept in the user's cache."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from pathlib import Path
from typing import Any

from ..system.cache import read_json, write_json

__all__ = ["file_digest"]

_log = logging.getLogger(__name__)
#: Below, reading the file again takes no longer than a tenth of a second (SHA-256 runs at about 1 GB/s).
_KEPT_FROM_BYTES = 64 * 2**20
#: A file that was written later than this before it is read may be written again without a new time: file systems
#: count in steps, of which FAT has the coarsest.
_SETTLED_NS = 2 * 10**9
_known: dict[str, Any] = {}


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content as 64 hexadecimal digits.

    Of a file of 64 MiB or more it is kept, for this process and in the user's cache, and holds while the file's inode,
    size, and times of modification and of change are the same. No program can set the last of these, so that a file
    that was replaced, or written in place with its old date, is read again.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    path = path.resolve()
    found = path.stat()
    if found.st_size < _KEPT_FROM_BYTES:
        return _digest(path)
    identity = _identity(found)
    name = f"sha256-{hashlib.sha256(os.fsencode(path)).hexdigest()[:24]}"
    for kept in (_known.get(name), read_json(name)):
        if isinstance(kept, dict) and kept.get("identity") == identity and isinstance(kept.get("sha256"), str):
            _known[name] = kept
            return str(kept["sha256"])
    _log.info("%s is read once as a whole, to tell its model from others", path)
    started = time.time_ns()
    digest = _digest(path)
    settled = started - max(found.st_mtime_ns, found.st_ctime_ns) > _SETTLED_NS
    if settled and _identity(path.stat()) == identity:
        _known[name] = {"identity": identity, "sha256": digest}
        write_json(name, _known[name])
    return digest


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _identity(found: os.stat_result) -> list[int]:
    return [found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]
