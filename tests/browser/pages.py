"""Pages to open in a browser, and what is seen on them."""

from __future__ import annotations

import colorsys
from pathlib import Path

import numpy as np

from lowmem_fold.view.compared import compared, read_side
from lowmem_fold.view.comparison import Comparison
from lowmem_fold.view.comparison_page import comparison_page
from lowmem_fold.view.page import page_html, write_page
from lowmem_fold.view.run import read_run
from lowmem_fold.view.run_page import run_page
from tests.browser.chromium import Tab

__all__ = ["CANVAS", "drawn", "hue_is", "laid", "made", "part_of_hue", "place_in_curve", "themed"]

CANVAS = "document.querySelector('.stage canvas').toDataURL()"


def made(folder: Path, *, offline: bool = True) -> Path:
    text = page_html(run_page(read_run(folder)), cdn=not offline)
    return write_page(folder / "view.html", text)


def laid(a: Path, b: Path, path: Path) -> tuple[Path, list[Comparison | None]]:
    """The page of a comparison, and what it is of."""
    ours, theirs = read_side(a), read_side(b)
    pairs = list(compared(ours, theirs))
    text = page_html(comparison_page(ours, theirs, pairs))
    return write_page(path, text), [pair.comparison for pair in pairs]


def drawn(tab: Tab) -> np.ndarray:
    """Shape (N, 3), 0 to 255: the pixels that something is drawn on, waited for."""

    def opaque() -> np.ndarray:
        pixels = tab.pixels(CANVAS)
        return pixels[pixels[..., 3] > 250][:, :3]

    tab.wait("document.querySelector('.stage canvas') !== null")
    tab.until(lambda: len(opaque()) > 500, "something is drawn")
    return opaque()


def hue_of(color: str) -> float:
    return colorsys.rgb_to_hsv(*(int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)))[0] * 360


def hue_is(pixels: np.ndarray, color: str) -> np.ndarray:
    """Whether each pixel (..., 3), 0 to 255, has the hue of a colour: shade and light do not change it."""
    from matplotlib.colors import rgb_to_hsv

    hue, saturation, value = np.moveaxis(rgb_to_hsv(pixels / 255), -1, 0)
    away = np.abs((hue * 360 - hue_of(color) + 180) % 360 - 180)
    return (away < 8) & (saturation > 0.3) & (value > 0.15)


def part_of_hue(pixels: np.ndarray, color: str) -> float:
    """Part of the coloured pixels that have the hue of a colour."""
    from matplotlib.colors import rgb_to_hsv

    _, saturation, value = rgb_to_hsv(pixels / 255).T
    return float(hue_is(pixels, color).sum() / ((saturation > 0.3) & (value > 0.15)).sum())


def themed(tab: Tab, name: str) -> str:
    """A colour of the page's style."""
    return str(tab.value(f"getComputedStyle(document.documentElement).getPropertyValue('{name}').trim()"))


def place_in_curve(tab: Tab, residue: int, length: int, selector: str = ".curve") -> tuple[float, float]:
    left, top, width, height = tab.box(selector)
    return left + 36 + (residue + 0.5) / length * (width - 46), top + height / 2
