"""What a page holds of a record until it is shown: small, and nothing that a browser could run."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import numpy as np

__all__ = ["MAX_BINS", "UNKNOWN_ERROR", "block", "compressed", "element", "errors_of", "plain_json"]

#: Rows of a map of errors at most; those of a longer protein are means over neighbouring residues.
MAX_BINS = 512
#: Stands for an error that the model did not state.
UNKNOWN_ERROR = 255
_STEPS_PER_ANGSTROM = 4  # as in map.js


def plain_json(value: Any) -> str:
    """JSON in which no ``<`` stands, so that no text can end the element that it is in.

    Raises
    ------
    ValueError
        A number is not finite.
    """
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def compressed(data: bytes) -> str:
    """Return bytes as a page holds them: zlib (RFC 1950) in base64."""
    return base64.b64encode(zlib.compress(data, 9)).decode("ascii")


def element(id: str, text: str) -> str:
    """Return an element of the page that holds compressed bytes, a script of a type that does not run."""
    return f'<script type="text/plain" id="{id}">{text}</script>'


def block(id: str, data: bytes) -> str:
    """Return an element of the page that holds bytes, compressed."""
    return element(id, compressed(data))


def errors_of(pae: np.ndarray) -> tuple[int, bytes]:
    """A map of errors as the page holds it.

    Parameters
    ----------
    pae : ndarray, shape=(L, L)
        Angstrom; NaN where the model stated no error.

    Returns
    -------
    bins : int
        Rows and columns: L, or ``MAX_BINS`` of a longer protein, residue i in the bin i * bins // L.
    errors : bytes
        A byte each, row by row: quarters of an Angstrom, up to 63.5, or ``UNKNOWN_ERROR``.
    """
    length = len(pae)
    bins = min(length, MAX_BINS)
    starts = -(-np.arange(bins) * length // bins)  # the first residue i with i * bins // L at each bin
    counts = np.diff([*starts, length])
    sums = np.add.reduceat(np.add.reduceat(pae.astype(np.float64), starts, axis=0), starts, axis=1)
    steps = np.rint(sums / np.outer(counts, counts) * _STEPS_PER_ANGSTROM)
    known = np.clip(np.nan_to_num(steps, nan=UNKNOWN_ERROR), 0, UNKNOWN_ERROR - 1)
    return bins, np.where(np.isnan(steps), UNKNOWN_ERROR, known).astype(np.uint8).tobytes()
