"""The picture before it is a file, to look at what its axes hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lowmem_fold.system.style import LIGHT


def figure_of(draw: Callable[..., None], data: Any) -> Figure:
    figure = Figure()
    draw(data, figure, LIGHT)
    return figure


def points_of(axes: Axes) -> dict[str, list[tuple[float, float]]]:
    """Of each line that the legend names: its points."""
    return {
        str(line.get_label()): [(float(x), float(y)) for x, y in zip(*line.get_data(), strict=True)]
        for line in axes.lines
        if not str(line.get_label()).startswith("_")
    }
