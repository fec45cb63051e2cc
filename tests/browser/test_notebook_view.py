"""What a notebook shows, in a real browser: the structure in the colours of its residues, and the legend."""

from __future__ import annotations

import re

import numpy as np
import pytest
from matplotlib.colors import rgb_to_hsv

import lowmem_fold as lf
from lowmem_fold.view.bands import BANDS, DISTANCE_BANDS
from tests.browser.chromium import Chromium, Tab, library
from tests.view.structures import known, predicted

pytestmark = pytest.mark.browser
pytest.importorskip("py3Dmol")

LEGEND_WIDTH = 240  # pixels of the canvas, which has two for each of the page's


def shown(browser: Chromium, viewer, folder) -> Tab:
    """A page with what the viewer gives a notebook; the network has the copy of 3Dmol.js that is here."""
    page = folder / "cell.html"
    page.write_text(f"<!doctype html><meta charset=utf-8><body>{viewer._repr_html_()}")
    (address,) = re.findall(r"loadScriptAsync\('(https://[^']+)'\)", page.read_text())
    tab = browser.tab(page, answers={address: library().read_bytes()}, width=700, height=560)
    tab.wait("document.querySelector('canvas') !== null")
    tab.until(lambda: (pixels(tab)[..., 3] > 250).sum() > 500, "something is drawn")
    return tab


def pixels(tab: Tab) -> np.ndarray:
    """Shape (height, width, 4), 0 to 255: the canvas, in a moment when it has just been drawn."""
    name = tab.value("Object.keys(window).find(key => /^viewer_\\d+$/.test(key))")
    return tab.pixels(f"window.{name} ? window.{name}.pngURI() : 'data:,'")


def has(image: np.ndarray, color: str) -> bool:
    """Whether at least one pixel in a hundred that are coloured has its hue, beyond the legend on the left."""
    hue, saturation, value = np.moveaxis(rgb_to_hsv(image[:, LEGEND_WIDTH:, :3] / 255), -1, 0)
    wanted = rgb_to_hsv([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])[0]
    away = np.abs((hue - wanted + 0.5) % 1 - 0.5)
    colored = (saturation > 0.3) & (value > 0.15)
    return (colored & (away < 0.025)).sum() > 0.01 * colored.sum()


def test_a_prediction(browser, tmp_path):
    tab = shown(browser, predicted(known("1ahsA"), 60).view(), tmp_path)
    image = pixels(tab)
    assert [has(image, band.color) for band in BANDS] == [True] * 4
    legend = image[:, :LEGEND_WIDTH, :3]
    for band in BANDS:
        color = [int(band.color[i : i + 2], 16) for i in (1, 3, 5)]
        assert (np.abs(legend - color).max(axis=-1) <= 3).sum() > 500, band.name
    assert tab.complaints() == []
    tab.close()


def test_a_comparison(browser, tmp_path):
    structure = known("1ahsA")
    moved = structure.positions.copy()
    moved[100:] += 12
    comparison = lf.compare(predicted(structure, positions=moved), structure, names=("moved", "known"))
    tab = shown(browser, comparison.view(), tmp_path)
    image = pixels(tab)
    assert comparison.distance.max() > DISTANCE_BANDS[-1].floor
    assert has(image, DISTANCE_BANDS[-1].color)
    grey = np.ptp(image[:, LEGEND_WIDTH:, :3], axis=-1) < 25
    dim = (image[:, LEGEND_WIDTH:, :3].max(axis=-1) < 200) & (image[:, LEGEND_WIDTH:, 3] > 250)
    assert (grey & dim).sum() > 2000  # the reference
    assert tab.complaints() == []
    tab.close()
