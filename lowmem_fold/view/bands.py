"""The bands of pLDDT and their colours, as the AlphaFold database draws them: one table for page, viewer and plots."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["BANDS", "Band", "band_colors", "band_index"]


class Band(NamedTuple):
    """A range of pLDDT.

    ``name`` is the database's word, ``label`` the range in figures, ``floor`` where it begins (0 to 100; that of the
    best band is not in it, the others' are) and ``color`` is #RRGGBB.
    """

    name: str
    label: str
    floor: float
    color: str


#: From the best to the worst, as a legend lists them. Exactly 90 is still of the second, 70 of it too, 50 of the third.
BANDS: tuple[Band, ...] = (
    Band("very high", "> 90", 90.0, "#0053D6"),
    Band("high", "70 - 90", 70.0, "#65CBF3"),
    Band("low", "50 - 70", 50.0, "#FFDB13"),
    Band("very low", "< 50", 0.0, "#FF7D45"),
)


def band_index(plddt: np.ndarray) -> np.ndarray:
    """Place in `BANDS` of each value, any shape, 0 to 100; what is not a number is of the last. dtype int64."""
    values = np.asarray(plddt, dtype=np.float64)
    best, high, low, _ = (band.floor for band in BANDS)
    return np.select([values > best, values >= high, values >= low], [0, 1, 2], default=len(BANDS) - 1)


def band_colors(plddt: np.ndarray) -> list[str]:
    """The colour #RRGGBB of each of L values, 0 to 100."""
    return [BANDS[index].color for index in band_index(np.ravel(plddt))]
