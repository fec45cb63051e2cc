"""Drift from fp32 against bits per weight, from the `precision-drift` and `loading` records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lowmem_fold.bench.accuracy import Summary, summary
from lowmem_fold.bench.records import Measurement, read_measurements
from lowmem_fold.system.style import Theme, plain_numbers

from .style import write as write_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PICTURE", "QUANTITIES", "Point", "draw", "points", "read", "write"]

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results"
PICTURE = Path(__file__).parent / "accuracy.png"
QUANTITIES = {"ca_rmsd_angstrom": "CA-RMSD to fp32, Å", "lddt_ca": "lDDT-CA to fp32, 0 to 1"}
#: Colour, mark, and the shift in points that keeps equal numbers of bits apart.
STYLES = {
    "fp16": ("grey", "o", 0),
    "bf16": ("grey", "s", 0),
    "int8": ("blue", "o", -9),
    "float8": ("blue", "s", 9),
    "bnb-int8": ("orange", "D", 0),
    "int4": ("blue", "^", -5),
    "bnb-nf4": ("orange", "v", 5),
}


class Point(NamedTuple):
    """A preset: bits of a weight, all parts of ESMFold v1, and the drift by the names of QUANTITIES."""

    precision: str
    bits_per_weight: float
    drift: dict[str, Summary]


def read() -> list[Measurement]:
    return [m for name in ("loading", "precision") for m in read_measurements(RESULTS / f"{name}.jsonl")]


def points(measurements: Sequence[Measurement]) -> list[Point]:
    """Of the presets that differ from fp32 in their weights."""
    bits = {
        m.requested["precision"]: m.resolved["weights"]["total"]["bits_per_weight"]
        for m in measurements
        if m.benchmark == "loading"
    }
    return [
        Point(name, bits[name], {quantity: summary(quantity, m.samples[quantity]) for quantity in QUANTITIES})
        for m in measurements
        if m.benchmark == "precision-drift" and (name := m.requested["precision"]) in bits
    ]


def draw(found: Sequence[Point], figure: Figure, theme: Theme) -> None:
    """A panel for each quantity."""
    figure.set_size_inches(7.6, 4.2)
    panels = figure.subplots(1, len(QUANTITIES))
    for axes, (quantity, label) in zip(panels, QUANTITIES.items(), strict=True):
        for point in found:
            _draw_point(axes, theme, point, quantity)
        axes.set(xscale="log", xlim=(3.6, 26), xticks=[4, 8, 16], title=label)
        plain_numbers(axes.xaxis)
        tops = [point.drift[quantity].interval[1] for point in found]
        axes.set_ylim(-0.02 * max(tops), 1.1 * max(tops))
    panels[1].set_ylim(0.5, 1.02)
    figure.supxlabel("bits per weight of ESMFold v1, all parts (equal ones are drawn side by side)", fontsize=10)
    panels[1].legend(loc="lower right")
    title = "Drift of the demo model from itself in fp32: median of 50 chains and its 95 % interval"
    figure.suptitle(title, x=0.01, ha="left")


def _draw_point(axes: Axes, theme: Theme, point: Point, quantity: str) -> None:
    from matplotlib.transforms import ScaledTranslation

    color, mark, shift = STYLES[point.precision]
    drift = point.drift[quantity]
    low, high = (abs(drift.median - end) for end in drift.interval)
    moved = axes.transData + ScaledTranslation(shift / 72, 0, axes.get_figure().dpi_scale_trans)
    style = {"color": theme.colors[color], "marker": mark, "markersize": 6, "capsize": 2.5, "linestyle": "none"}
    axes.errorbar(
        [point.bits_per_weight], [drift.median], yerr=[[low], [high]], transform=moved, label=point.precision, **style
    )


def write() -> None:
    """Draw the committed records."""
    write_picture(PICTURE, draw, points(read()))
