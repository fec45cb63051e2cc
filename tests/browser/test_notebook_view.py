"""What a notebook shows, in a real browser without a network: the structure in the colours of its residues."""

from __future__ import annotations

import io
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.colors import rgb_to_hsv

import lowmem_fold as lf
from lowmem_fold.view.bands import BANDS, DISTANCE_BANDS
from tests.browser.chromium import Chromium, Tab
from tests.browser.pages import CANVAS, drawn, hue_is
from tests.view.structures import known, predicted

pytestmark = pytest.mark.browser

LEGEND_WIDTH = 240  # pixels of the canvas, which has two for each of the page's


#: The module loader of a notebook of old, which takes in what comes with `define` and tells nobody.
LOADER = "globalThis.define = () => { globalThis.taken = true; }; define.amd = {};"


def cell(browser: Chromium, text: str, folder, **options) -> Tab:
    page = folder / "cell.html"
    page.write_text(f"<!doctype html><meta charset=utf-8><body>{text}", encoding="utf-8")
    return browser.tab(page, width=700, height=1280, **options)


def shown(browser: Chromium, viewer, folder) -> Tab:
    """A page with what the viewer gives a notebook. Nothing answers on the network."""
    tab = cell(browser, viewer._repr_html_(), folder, before=LOADER)
    tab.wait("document.querySelector('canvas') !== null")
    tab.until(lambda: (pixels(tab)[..., 3] > 250).sum() > 500, "something is drawn")
    assert tab.requests() == [(folder / "cell.html").as_uri()] and tab.value("window.taken") is None
    return tab


def framed(text: str) -> str:
    """The document in the frame of a cell's result."""
    found: list[str] = []

    class Frames(HTMLParser):
        def handle_starttag(self, tag, attributes):
            if tag == "iframe":
                found.append(dict(attributes)["srcdoc"])

    Frames().feed(text)
    (document,) = found
    return document


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
    pytest.importorskip("py3Dmol")
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
    pytest.importorskip("py3Dmol")
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


def test_a_prediction_shows_itself(browser, tmp_path):
    """In a frame that reaches nothing of the notebook; two of them, each with what it needs."""
    text = predicted(known("1ahsA"), 60)._repr_html_()
    tab = cell(browser, text + text, tmp_path)
    assert tab.texts("td")[:5] == ["126", "2", "60.0", "0.750", "0.500"]

    def seen(index: int) -> bool:
        from matplotlib.image import imread

        top = int(tab.value(f"document.querySelectorAll('iframe')[{index}].getBoundingClientRect().top"))
        image = 255 * imread(io.BytesIO(tab.screenshot()), format="png")[top : top + 300, :, :3]
        return all(hue_is(image, band.color).sum() > 200 for band in BANDS)

    tab.until(lambda: seen(0) and seen(1), "both are drawn")
    assert tab.value("[...document.querySelectorAll('iframe')].every(frame => frame.contentDocument === null)")
    assert tab.complaints() == []
    tab.close()


def test_what_is_in_the_frame(browser, tmp_path):
    page = tmp_path / "frame.html"
    page.write_text(framed(predicted(known("1ahsA"), 60)._repr_html_()), encoding="utf-8")
    tab = browser.tab(page, width=700, height=480)
    drawn(tab)
    assert tab.texts(".choice button") == ["pLDDT", "chain"]
    left, top, width, height = tab.box(".stage")
    for x in range(int(left + width * 0.35), int(left + width * 0.65), 12):
        tab.point(x, top + height / 2)
        tab.value("new Promise((done) => setTimeout(done, 60))")
        if any("pLDDT" in text for text in tab.texts(".readout")):
            break
    assert "pLDDT" in tab.texts(".readout")[0]
    assert tab.value("document.documentElement.scrollHeight <= innerHeight")
    assert tab.requests() == [page.as_uri()] and tab.complaints() == []
    tab.close()


def test_a_comparison_shows_itself(browser, tmp_path):
    structure = known("1ahsA")
    page = tmp_path / "frame.html"
    comparison = lf.compare(predicted(structure), structure, names=("moved", "known"))
    page.write_text(framed(comparison._repr_html_()), encoding="utf-8")
    tab = browser.tab(page, width=700, height=480)
    drawn(tab)
    assert tab.texts(".choice button") == ["structure", "distance", "pLDDT"]
    assert tab.texts(".legend li") == ["moved", "known"] and tab.complaints() == []
    tab.close()


def test_without_webgl(browser, tmp_path):
    page = tmp_path / "frame.html"
    page.write_text(framed(predicted(known("3a4rA"))._repr_html_()), encoding="utf-8")
    tab = browser.tab(page, before="HTMLCanvasElement.prototype.getContext = () => null")
    tab.wait("document.querySelector('.notice') !== null")
    assert "no WebGL" in tab.texts(".notice")[0] and tab.value(CANVAS.replace(".toDataURL()", "")) is None
    tab.close()
