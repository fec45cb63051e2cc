"""Memory against length, weights included, and the cards it fits, from the `planning-peaks` records.

`python -m benchmarks.planning` draws it anew, with the table of cards.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lowmem_fold.bench.records import Measurement, read_measurements
from lowmem_fold.system.style import Theme, plain_numbers

from .style import write as write_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PICTURE", "RESULTS", "Curve", "curves", "draw", "write"]

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results" / "planning.jsonl"
PICTURE = Path(__file__).parent / "memory.png"
CARDS_GB = (8, 12, 16, 24, 40, 80)

Curve = tuple[str, list[int], list[float]]
STYLES = {
    "unchunked": ("grey", ":", "transformers, unchunked"),
    "chunk_size 64": ("orange", "-", "transformers, chunk_size 64"),
    "resident": ("blue", "-", "lowmem_fold, weights on the card"),
    "streamed": ("blue", "--", "lowmem_fold, weights streamed"),
}
_LIMITS_GIB = (0.2, 200)


def curves(measurements: Sequence[Measurement]) -> list[Curve]:
    """For each way: its key in STYLES, lengths and peaks in GiB."""
    peaks: dict[str, dict[int, float]] = {key: {} for key in STYLES}
    for measurement in measurements:
        asked = measurement.requested
        if measurement.benchmark == "planning-peaks" and asked["placement"] in peaks:
            peaks[asked["placement"]][asked["length"]] = measurement.samples["peak_bytes"][0] / 2**30
    return [(key, sorted(found), [found[length] for length in sorted(found)]) for key, found in peaks.items()]


def draw(found: Sequence[Curve], figure: Figure, theme: Theme) -> None:
    """Both axes logarithmic; a line across for each card."""
    figure.set_size_inches(7.6, 4.6)
    axes = figure.subplots()
    lengths = found[0][1]
    axes.grid(False)
    for size in CARDS_GB:
        axes.axhline(size * 1e9 / 2**30, color=theme.muted, linewidth=0.6, alpha=0.7, zorder=0)
        place = {"xytext": (4, 0), "textcoords": "offset points", "va": "center", "fontsize": 9, "color": theme.muted}
        axes.annotate(f"{size} GB", (lengths[-1] * 1.12, size * 1e9 / 2**30), annotation_clip=False, **place)
    for key, of_curve, peaks in found:
        color, line, label = STYLES[key]
        axes.plot(of_curve, peaks, line, color=theme.colors[color], linewidth=2, label=label)
    axes.set(xscale="log", yscale="log", xlim=(lengths[0], lengths[-1] * 1.12), ylim=_LIMITS_GIB)
    axes.set(xlabel="residues", ylabel="GiB, weights included")
    axes.set_title("Peak memory of ESMFold v1 beside stock transformers: stem in float16, all else in float32", x=-0.08)
    axes.set_xticks([length for length in lengths if length & (length - 1) == 0])
    axes.set_yticks([0.25, 0.5, 1, 2, 4, 8, 16, 32, 64])
    for axis in (axes.xaxis, axes.yaxis):
        plain_numbers(axis)
    axes.legend(frameon=True, facecolor=theme.page, edgecolor="none", framealpha=1, loc="upper left")


def write() -> None:
    """Draw the committed records."""
    write_picture(PICTURE, draw, curves(read_measurements(RESULTS)))
