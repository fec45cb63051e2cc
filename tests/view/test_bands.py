"""The bands of pLDDT at and beside their borders, and their colours as the AlphaFold database has them."""

from __future__ import annotations

import numpy as np
import pytest

from lowmem_fold.view.bands import BANDS, DISTANCE_BANDS, band_colors, band_index, distance_index


@pytest.mark.parametrize(
    ("plddt", "color"),
    [
        (100.0, "#0053D6"),
        (90.01, "#0053D6"),
        (90.0, "#65CBF3"),
        (70.0, "#65CBF3"),
        (69.99, "#FFDB13"),
        (50.0, "#FFDB13"),
        (49.99, "#FF7D45"),
        (0.0, "#FF7D45"),
        (np.nan, "#FF7D45"),
    ],
)
def test_color(plddt, color):
    assert band_colors(np.array([plddt], np.float32)) == [color]


def test_index_keeps_the_shape():
    values = np.array([[95.0, 80.0], [60.0, 10.0]])
    assert band_index(values).tolist() == [[0, 1], [2, 3]]


def test_legend_goes_from_the_best_to_the_worst():
    assert [band.label for band in BANDS] == ["> 90", "70 - 90", "50 - 70", "< 50"]
    assert sorted((band.floor for band in BANDS), reverse=True) == [band.floor for band in BANDS]


def test_distances_at_their_borders():
    distances = np.array([0.0, 0.99, 1.0, 1.99, 2.0, 3.99, 4.0, 7.99, 8.0, 80.0])
    assert distance_index(distances).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert [band.floor for band in DISTANCE_BANDS] == [0, 1, 2, 4, 8]
