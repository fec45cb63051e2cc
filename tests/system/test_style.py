"""The colours can be seen, and told apart without seeing all of them; a picture is the same bytes each time."""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest

from lowmem_fold.errors import InputError
from lowmem_fold.system.style import DARK, LIGHT, Theme, rendered

THEMES = pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
# Machado, Oliveira & Fernandes, IEEE TVCG 15, 1291 (2009), severity 1, on linear RGB
SEEN = {
    "all cones": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def _linear(color: str) -> np.ndarray:
    """sRGB without its gamma."""
    values = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _lab(linear: np.ndarray) -> np.ndarray:
    """CIE 1976, D65."""
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.array(to_xyz) @ linear / [0.9505, 1, 1.089]
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def _contrast(one: str, other: str) -> float:
    """As WCAG 2 has it: 1 to 21."""
    low, high = sorted(float(_linear(color) @ [0.2126, 0.7152, 0.0722]) for color in (one, other))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_the_standard() -> None:
    assert _contrast("#000000", "#ffffff") == pytest.approx(21)
    assert _contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@THEMES
def test_colors_stand_out_from_the_page(theme: Theme) -> None:
    """3:1 for graphics and 4.5:1 for words (WCAG 2, 1.4.11 and 1.4.3)."""
    assert min(_contrast(color, theme.page) for color in theme.colors.values()) >= 3
    assert min(_contrast(color, theme.page) for color in (theme.text, theme.muted)) >= 4.5


@THEMES
@pytest.mark.parametrize("seen", SEEN)
def test_colors_are_told_apart(theme: Theme, seen: str) -> None:
    """By more than 15 units of CIE 1976, of which about 2 can be noticed side by side."""
    points = [_lab(np.clip(np.array(SEEN[seen]) @ _linear(color), 0, 1)) for color in theme.colors.values()]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(points, 2)) > 15


def test_both_themes_have_the_same_colors() -> None:
    assert list(LIGHT.colors) == list(DARK.colors)


def _line(figure, theme: Theme) -> None:
    figure.subplots().plot([1, 2], color=theme.colors["blue"])


@pytest.mark.parametrize(("form", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml")], ids=["png", "svg"])
def test_a_picture_is_the_same_each_time(form: str, start: bytes) -> None:
    import matplotlib

    found = rendered(_line, LIGHT, form)
    with matplotlib.rc_context({"lines.linewidth": 9, "axes.facecolor": "red"}):  # what a user may have set
        assert rendered(_line, LIGHT, form) == found
        assert matplotlib.rcParams["lines.linewidth"] == 9
    assert found.startswith(start) and rendered(_line, DARK, form) != found


def test_without_matplotlib_its_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match="pip install 'matplotlib>="):
        rendered(_line, LIGHT, "png")
