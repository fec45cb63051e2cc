"""Bands and their colours, one table each for page, viewer and plots: of pLDDT as the AlphaFold database draws them,
and of the distance between two structures.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["BANDS", "DISTANCE_BANDS", "LEGEND", "WITHOUT_VALUE", "Band", "band_colors", "band_index", "distance_index"]


class Band(NamedTuple):
    """A range of values: ``name`` in a word, ``label`` in figures, ``floor`` where it begins, ``color`` as #RRGGBB."""

    name: str
    label: str
    floor: float
    color: str


#: Of pLDDT, 0 to 100, from the best to the worst, as a legend lists them. Exactly 90 is still of the second, 70 of it
#: too, 50 of the third.
BANDS: tuple[Band, ...] = (
    Band("very high", "> 90", 90.0, "#0053D6"),
    Band("high", "70 - 90", 70.0, "#65CBF3"),
    Band("low", "50 - 70", 50.0, "#FFDB13"),
    Band("very low", "< 50", 0.0, "#FF7D45"),
)

#: By the words of a legend of pLDDT: the colour.
LEGEND = {f"{band.name} ({band.label})": band.color for band in BANDS}

#: Of the distance between the CA atoms of a residue in two structures, Angstrom, from near to far, by what GDT counts
#: within. A floor is of its band. Told apart with any of the common colour blindnesses.
DISTANCE_BANDS: tuple[Band, ...] = (
    Band("same", "< 1 Å", 0.0, "#2166AC"),
    Band("near", "1 - 2 Å", 1.0, "#67A9CF"),
    Band("off", "2 - 4 Å", 2.0, "#E6C84B"),
    Band("far", "4 - 8 Å", 4.0, "#EF8A4B"),
    Band("elsewhere", "> 8 Å", 8.0, "#B2182B"),
)


#: Of residues without a value, and of the structure that another one is superimposed on.
WITHOUT_VALUE = "#9AA3AE"


def band_index(plddt: np.ndarray) -> np.ndarray:
    """Place in `BANDS` of each value, any shape, 0 to 100; what is not a number is of the last. dtype int64."""
    values = np.asarray(plddt, dtype=np.float64)
    best, high, low, _ = (band.floor for band in BANDS)
    return np.select([values > best, values >= high, values >= low], [0, 1, 2], default=len(BANDS) - 1)


def band_colors(plddt: np.ndarray) -> list[str]:
    """The colour #RRGGBB of each of L values, 0 to 100."""
    return [BANDS[index].color for index in band_index(np.ravel(plddt))]


def distance_index(distance: np.ndarray) -> np.ndarray:
    """Place in `DISTANCE_BANDS` of each distance, any shape, Angstrom. dtype int64."""
    return np.searchsorted([band.floor for band in DISTANCE_BANDS], distance, side="right") - 1
