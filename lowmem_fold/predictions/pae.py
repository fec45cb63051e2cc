"""Predicted aligned error as the AlphaFold database publishes it."""

from __future__ import annotations

import json

import numpy as np

from ..errors import InputError
from .atoms import Writable

__all__ = ["pae_json"]


def pae_json(prediction: Writable) -> str:
    """PAE as JSON text in the database's form (since July 2022), which its viewers, ChimeraX and PAE Viewer read.

    A list of one object: ``predicted_aligned_error``, L lists of L errors in Angstrom rounded to whole numbers, where
    row i is aligned on residue i; and ``max_predicted_aligned_error``, the largest value that could occur, unrounded.
    A value that is not finite becomes null.

    Raises
    ------
    InputError
        If the prediction was made without PAE.
    """
    if prediction.pae is None:
        raise InputError(f"{prediction.id}: there is no PAE to write: fold with pae=True.")
    rows = ",".join(map(_row, prediction.pae))
    limit = json.dumps(float(prediction.max_pae))
    return f'[{{"predicted_aligned_error":[{rows}],"max_predicted_aligned_error":{limit}}}]\n'


def _row(row: np.ndarray) -> str:
    # A row at a time: the whole matrix as Python objects would take many times its memory.
    if np.isfinite(row).all():
        return json.dumps(np.rint(row).astype(np.int64).tolist(), separators=(",", ":"))
    return json.dumps([round(value) if np.isfinite(value) else None for value in row.tolist()], separators=(",", ":"))
