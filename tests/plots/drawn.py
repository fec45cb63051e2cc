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


def bars_of(axes: Axes) -> dict[str, float]:
    """Where the bars of each row end, by the words at the left of its row of panels; bars of no length are left out."""
    words = [label.get_text() for label in axes.get_figure().axes[0].get_yticklabels()]
    ends: dict[str, float] = {}
    for bar in axes.patches:
        if bar.get_width():
            name = words[round(bar.get_y() + bar.get_height() / 2)]
            ends[name] = max(ends.get(name, 0.0), bar.get_x() + bar.get_width())
    return ends
