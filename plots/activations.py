"""Activation memory against length, from the `engine-memory` records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lowmem_fold.bench.records import Measurement, read_measurements
from lowmem_fold.system.style import Theme, plain_numbers

from .style import write as write_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PICTURE", "RESULTS", "Curve", "curves", "draw", "write"]

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results" / "engine.jsonl"
PICTURE = Path(__file__).parent / "activations.png"

Curve = tuple[str, list[int], list[float]]
STYLES = {
    "lowmem_fold": ("blue", "o-", "lowmem_fold"),
    "64": ("orange", "s-", "stock ESMFold (transformers), chunk_size 64"),
    "128": ("earth", "^--", "stock ESMFold (transformers), chunk_size 128"),
    "None": ("grey", "D:", "stock ESMFold (transformers), unchunked"),
}


def curves(measurements: Sequence[Measurement]) -> list[Curve]:
    """For each code: its key in STYLES, lengths and peaks in GiB. The last record of a configuration counts."""
    peaks: dict[str, dict[int, float]] = {key: {} for key in STYLES}
    for measurement in measurements:
        if measurement.benchmark == "engine-memory" and measurement.status == "ok":
            asked = measurement.requested
            key = "lowmem_fold" if asked["code"] == "lowmem_fold" else str(asked["chunk_size"])
            peaks[key][asked["length"]] = max(measurement.samples["peak_bytes"]) / 2**30
    return [(key, sorted(found), [found[length] for length in sorted(found)]) for key, found in peaks.items()]


def draw(found: Sequence[Curve], figure: Figure, theme: Theme) -> None:
    """Both axes logarithmic."""
    figure.set_size_inches(7.6, 4.4)
    axes = figure.subplots()
    axes.set(xscale="log", yscale="log", xlabel="residues", ylabel="GiB beyond the weights")
    for key, lengths, peaks in found:
        color, line, label = STYLES[key]
        axes.plot(lengths, peaks, line, color=theme.colors[color], markersize=5, linewidth=2, label=label)
    axes.set_title("Activation memory against length: ESMFold v1 in float32, without its weights")
    axes.set_xticks(found[0][1])
    axes.set_yticks([0.1, 1, 10, 100, 1000])
    for axis in (axes.xaxis, axes.yaxis):
        plain_numbers(axis)
    _end_labels(axes, {f"{peaks[-1]:.0f} GiB": (lengths[-1], peaks[-1]) for _, lengths, peaks in found})
    axes.legend()


def _end_labels(axes: Axes, ends: Mapping[str, tuple[float, float]]) -> None:
    """Write each text to the right of its point (x, y), moved up where it would lie upon another."""
    height = axes.get_figure().get_size_inches()[1] * 72 * 0.72  # of the axes, nearly
    taken = -float("inf")
    for text, (x, y) in sorted(ends.items(), key=lambda item: item[1][1]):
        low, high = (axes.transScale.transform((x, limit))[1] for limit in axes.get_ylim())
        at = (axes.transScale.transform((x, y))[1] - low) / (high - low) * height
        place = max(at, taken + 11)
        axes.annotate(text, (x, y), xytext=(6, place - at), textcoords="offset points", va="center", fontsize=9)
        taken = place


def write() -> None:
    """Draw the committed records."""
    write_picture(PICTURE, draw, curves(read_measurements(RESULTS)))
