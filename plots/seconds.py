"""Predicted seconds of a fold compared with measured ones, from the `seconds` records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.seconds import fold_seconds
from lowmem_fold.bench.records import Measurement, read_measurements
from lowmem_fold.system.style import Theme, plain_numbers

from .style import write as write_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PICTURE", "RESULTS", "Point", "draw", "points", "write"]

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results" / "seconds.jsonl"
PICTURE = Path(__file__).parent / "seconds.png"
STYLES = {
    ("demo", "fp32"): ("orange", "s", "demo model, whole folds"),
    ("esmfold_v1, random weights", "fp32"): ("blue", "o", "ESMFold v1, random weights: the sum of its timed steps"),
    ("esmfold_v1, random weights", "int8"): ("green", "D", "the same in int8"),
}


class Point(NamedTuple):
    """One configuration; of a fold both."""

    kind: tuple[str, str]
    length: int
    measured_seconds: float
    predicted_seconds: float


def points(measurements: Sequence[Measurement]) -> list[Point]:
    """On a CPU; of a configuration that was measured again the last record counts."""
    found = {}
    for m in measurements:
        if m.benchmark == "seconds" and m.resolved["device"] == "cpu":
            kind = (m.requested["model"], m.requested["precision"])
            predicted = m.samples["predicted_seconds"][0]
            found[kind, m.requested["length"]] = Point(kind, m.requested["length"], fold_seconds(m), predicted)
    return list(found.values())


def draw(found: Sequence[Point], figure: Figure, theme: Theme) -> None:
    """Predicted over measured, against measured."""
    figure.set_size_inches(7.6, 3.8)
    axes = figure.subplots()
    axes.axhline(1, color=theme.muted, linewidth=1)
    for kind, (color, mark, label) in STYLES.items():
        of_kind = [point for point in found if point.kind == kind]
        for point in of_kind:
            side = {"xytext": (-8, 0), "ha": "right"} if kind[0] == "demo" else {"xytext": (8, 6), "ha": "left"}
            place = {**side, "va": "center", "textcoords": "offset points", "fontsize": 9}
            axes.annotate(f"{point.length}", _place(point), color=theme.muted, **place)
        places = zip(*map(_place, of_kind), strict=True)
        axes.plot(*places, mark, color=theme.colors[color], markersize=6, linestyle="none", label=label)
    axes.set(xscale="log", xlim=(0.02, 3000), ylim=(0.7, 1.3), xlabel="measured seconds of a fold")
    axes.set_ylabel("predicted / measured seconds")
    axes.set_title("Predicted seconds of a fold compared with measured ones (numbers: residues), a CPU of two cores")
    plain_numbers(axes.xaxis)
    axes.legend(loc="lower right")


def _place(point: Point) -> tuple[float, float]:
    return point.measured_seconds, point.predicted_seconds / point.measured_seconds


def write() -> None:
    """Draw the committed records."""
    write_picture(PICTURE, draw, points(read_measurements(RESULTS)))
