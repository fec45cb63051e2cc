"""What a predictor says of a chain."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["Guess"]


class Guess(NamedTuple):
    """What a predictor says of a chain of L residues."""

    ca: np.ndarray  # (L, 3) Angstrom
    chi: np.ndarray | None = None  # (L, 4) radians
    plddt: np.ndarray | None = None  # (L,) 0 to 100
    ptm: float | None = None
