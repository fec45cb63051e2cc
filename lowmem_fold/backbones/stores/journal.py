"""Results of a run that is on its way, in a file that is only ever appended to: what a kill leaves of it is sound."""

from __future__ import annotations

import json
import mmap
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..embedding import Embedding

__all__ = ["Journal"]

# Of a frame: magic, bytes of its head (JSON), bytes of its numbers, checksum of both. Head and numbers are filled up.
_FRAME = struct.Struct("<4sIQI")
_MAGIC = b"LMF1"
_ALIGNED = 64


class Journal:
    """Embeddings by key.

    Each is a frame of its own with a checksum. The first frame holds the settings of the run; the file ends where a
    frame is torn.

    Parameters
    ----------
    path : Path
        Made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._frames: dict[str, tuple[int, dict[str, list[int]]]] = {}
        self._map: np.ndarray | None = None
        self.settings: dict[str, Any] | None = None
        path.touch()
        end = self._scan()
        self._file = path.open("r+b")
        self._file.truncate(end)
        self._file.seek(end)

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Start with these settings; what it held of others is given up."""
        if self.settings == settings:
            return
        self._map = None
        self._file.seek(0)
        self._file.truncate()
        self._frames = {}
        self.settings = dict(settings)
        self._append({"settings": self.settings}, [])
        self._file.flush()

    def __contains__(self, key: str) -> bool:
        return key in self._frames

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, found: Mapping[str, Embedding]) -> None:
        """Keep embeddings; they have left this process when it returns."""
        for key, embedding in found.items():
            arrays = {name: np.ascontiguousarray(array, "<f4") for name, array in embedding.arrays.items()}
            shapes = {name: list(array.shape) for name, array in arrays.items()}
            self._frames[key] = self._append({"key": key, "shapes": shapes}, list(arrays.values())), shapes
        self._file.flush()
        self._map = None

    def shapes(self, key: str) -> dict[str, list[int]]:
        """Of the arrays of an embedding, by name."""
        return self._frames[key][1]

    def read(self, key: str) -> Embedding:
        """An embedding, whose numbers are read from the file where they are used."""
        start, shapes = self._frames[key]
        if self._map is None:
            # Copied where it is written to: torch warns of arrays that cannot be.
            self._map = np.memmap(self._path, np.uint8, "c")
        arrays: dict[str, np.ndarray] = {}
        for name, shape in shapes.items():
            size = 4 * int(np.prod(shape))
            arrays[name] = self._map[start : start + size].view("<f4").reshape(shape)
            start += size
        return Embedding(arrays.get("residues"), arrays.get("pooled"))

    def close(self) -> None:
        """Let go of the file."""
        self._map = None
        self._file.close()

    def _append(self, head: Mapping[str, Any], arrays: list[np.ndarray]) -> int:
        """Write a frame; returns where its numbers start."""
        text = json.dumps(head).encode()
        text += b" " * (-(_FRAME.size + len(text)) % _ALIGNED)
        size = sum(array.nbytes for array in arrays)
        filling = bytes(-size % _ALIGNED)
        views: list[bytes | memoryview] = [text, *(array.reshape(-1).view(np.uint8).data for array in arrays), filling]
        checksum = 0
        for view in views:
            checksum = zlib.crc32(view, checksum)
        start = self._file.tell() + _FRAME.size + len(text)
        self._file.write(_FRAME.pack(_MAGIC, len(text), size + len(filling), checksum))
        for view in views:
            self._file.write(view)
        return start

    def _scan(self) -> int:
        """Find the frames; returns where the last whole one ends."""
        size = self._path.stat().st_size
        if not size:
            return 0
        with self._path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            place = 0
            while (end := _frame_end(data, place, size)) is not None:
                self._take(data, place)
                place = end
        return place if self.settings is not None else 0

    def _take(self, data: mmap.mmap, place: int) -> None:
        _, length, _, _ = _FRAME.unpack_from(data, place)
        start = place + _FRAME.size + length
        head = json.loads(data[place + _FRAME.size : start])
        if "settings" in head:
            self.settings = head["settings"]
        else:
            self._frames[head["key"]] = start, head["shapes"]


def _frame_end(data: mmap.mmap, place: int, size: int) -> int | None:
    """Where a frame ends; None if there is none, or not all of it."""
    if place + _FRAME.size > size:
        return None
    magic, length, numbers, checksum = _FRAME.unpack_from(data, place)
    start, end = place + _FRAME.size, place + _FRAME.size + length + numbers
    if magic != _MAGIC or end > size:
        return None
    with memoryview(data) as view, view[start:end] as body:
        return end if zlib.crc32(body) == checksum else None
