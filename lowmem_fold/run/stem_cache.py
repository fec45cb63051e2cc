"""The stem's results on disk: a sequence state for each record, so that no run computes one twice."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..precision import parse_precision
from ..system.files import replacing
from ..system.versions import code_digest

if TYPE_CHECKING:
    from ..sequences.records import Record

__all__ = ["StemCache"]

_ENDING = ".npy"
_DIGEST_BYTES = 32


class StemCache:
    """A folder with one file a sequence: its state (L, C_s) before the trunk, float32, as numpy writes it, and behind
    that its SHA-256, which numpy does not read.

    The name of a file is a hash of all that decides what is in it: the chains, the model's fingerprint, the precision
    of the stem and of the sequence track, into which its states are projected, and the code of this package. Recycles,
    the pair state's precision and all else that only the trunk sees are no part of it. Several processes may share the
    folder.

    Parameters
    ----------
    path : Path
        Made when the first state is kept.
    model : Mapping
        What ``Folder.describe()`` says.
    shared : bool
        Whether folders around it are made too. Not for one within an output folder: if that is removed in mid-run, it
        must not come back.
    """

    def __init__(self, path: Path, model: Mapping[str, Any], *, shared: bool = True) -> None:
        self.path = path
        self._shared = shared
        policy = parse_precision(str(model.get("resolved_precision") or model.get("precision") or "fp32"))
        parts = str(policy.stem), str(policy.trunk), policy.include, policy.exclude
        self._model = [model.get("fingerprint"), *parts]

    def check(self) -> None:
        """InputError if states cannot be kept there."""
        place = self.path
        while not place.exists() and place != place.parent:
            place = place.parent
        if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
            raise InputError(
                f"{self.path}: the language model's results cannot be kept there. Give another --stem-cache."
            )

    def key(self, record: Record) -> str:
        """The name of the record's state, the same for records of the same chains."""
        text = json.dumps([record.chains, *self._model, code_digest()])
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def get(self, record: Record) -> np.ndarray | None:
        """The state (L, C_s) of a record, float32; None if there is none, or one that is damaged."""
        try:
            data = self._file(record).read_bytes()
        except OSError:
            return None
        body, digest = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
        if hashlib.sha256(body).digest() != digest:
            return None
        state: np.ndarray = np.load(io.BytesIO(body), allow_pickle=False)
        return state if state.ndim == 2 and len(state) == record.num_tokens else None

    def put(self, record: Record, state: np.ndarray) -> None:
        """Keep a state (L, C_s), whole or not at all; OSError if it cannot be written."""
        self.path.mkdir(parents=self._shared, exist_ok=True)
        body = io.BytesIO()
        np.save(body, np.asarray(state, np.float32), allow_pickle=False)
        with replacing(self._file(record)) as file:  # another process may write the same
            file.write(body.getvalue() + hashlib.sha256(body.getvalue()).digest())

    def drop(self, record: Record) -> None:
        """Remove a record's state."""
        self._file(record).unlink(missing_ok=True)

    def _file(self, record: Record) -> Path:
        return self.path / (self.key(record) + _ENDING)
