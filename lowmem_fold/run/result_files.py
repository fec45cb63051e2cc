"""Which files a finished record has, and whether they are still what was written."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from .options import FORMATS, RunOptions

__all__ = ["FileSums", "structure_endings"]

#: How a whole file ends, by the end of its name: for records that were written before sums were kept.
_ENDS = {".pdb": b"END", ".cif": b"#", ".pae.json": b"}]"}


def structure_endings(options: RunOptions, left_out: Collection[str] | None = None) -> tuple[str, ...]:
    """Return the endings of the structure files of a record.

    Parameters
    ----------
    options : RunOptions
    left_out : collection of str, optional
        ``pdb`` if the structure does not fit that format: mmCIF takes its place.
    """
    endings = FORMATS[options.format]
    if isinstance(left_out, (list, tuple)) and "pdb" in left_out:
        return tuple(dict.fromkeys(".cif" if ending == ".pdb" else ending for ending in endings))
    return endings


class FileSums:
    """Size and SHA-256 of files, each read once while it does not change."""

    def __init__(self) -> None:
        self._verdicts: dict[tuple[Path, int, int], bool] = {}

    @staticmethod
    def stated(content: bytes) -> dict[str, Any]:
        """Return what is stated of a file in the scores of its record."""
        return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}

    def is_sound(self, path: Path, stated: object) -> bool:
        """Return whether a file is what was written.

        Parameters
        ----------
        path : Path
            Must be there.
        stated : dict or None
            None: nothing was stated. Then it is sound if it ends as its format does, and has no NUL.
        """
        status = path.stat()
        key = path, status.st_size, status.st_mtime_ns
        if key not in self._verdicts:
            self._verdicts[key] = self._judge(path, status.st_size, stated)
        return self._verdicts[key]

    def _judge(self, path: Path, size: int, stated: object) -> bool:
        if size == 0 or (isinstance(stated, dict) and stated.get("bytes") != size):
            return False
        content = path.read_bytes()
        if stated is not None:
            return stated == self.stated(content)
        end = next(end for ending, end in _ENDS.items() if path.name.endswith(ending))
        return content.rstrip().endswith(end) and b"\0" not in content
