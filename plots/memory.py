"""Memory against length by precision, weights included, and the cards it fits: `planning-peaks` and `loading` records.

`python -m benchmarks.planning` draws it anew, with the table of cards.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lowmem_fold.bench.records import Measurement, read_measurements
from lowmem_fold.system.style import Theme, plain_numbers

from .precisions import ARTICLE_MEMORY_GB, ARTICLE_NOTE, COLORS, WORDS, mark_article
from .style import write as write_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["CARDS_GB", "PICTURE", "RESULTS", "WAYS", "Curve", "curves", "draw", "read", "write"]

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results"
PICTURE = Path(__file__).parent / "memory.png"
CARDS_GB = (8, 12, 16, 24, 40, 80)
STOCK, OURS = "stock ESMFold (transformers)", "lowmem_fold"
#: Panel, placement of the records, precisions, line, and what the legend adds.
WAYS = (
    (STOCK, "unchunked", ("fp32", "fp16"), ":", ", unchunked"),
    (STOCK, "chunk_size 64", ("fp32", "fp16"), "-", ", chunk_size 64"),
    (OURS, "resident", ("fp32", "fp16", "int8", "int4"), "-", ""),
    (OURS, "streamed", ("fp16",), "--", ""),
)
_PEAKS_PRECISION = "fp16"
_LIMITS_GB = (0.7, 170)
_NOTE = "Planned: weights, activations, and what CUDA takes for itself. Weights streamed: they wait in main memory."


class Curve(NamedTuple):
    """A line: panel, placement and precision of WAYS, lengths, and GB (10^9 bytes)."""

    panel: str
    placement: str
    precision: str
    lengths: list[int]
    gigabytes: list[float]


def read() -> list[Measurement]:
    return [m for name in ("loading", "planning") for m in read_measurements(RESULTS / f"{name}.jsonl")]


def curves(measurements: Sequence[Measurement]) -> list[Curve]:
    """Weights at each precision and the activations, which are the same at all of them, with CUDA's reserve."""
    weights = {m.requested["precision"]: m.samples["weight_bytes"][0] for m in measurements if m.benchmark == "loading"}
    reserve = next(m.resolved for m in measurements if m.benchmark == "planning-cards")
    found = []
    for panel, placement, precisions, *_ in WAYS:
        peaks = {
            m.requested["length"]: m.samples["peak_bytes"][0]
            for m in measurements
            if m.benchmark == "planning-peaks" and m.requested["placement"] == placement
        }
        for precision in precisions:
            more = 0 if placement == "streamed" else weights[precision] - weights[_PEAKS_PRECISION]
            sizes = [_with_reserve(peaks[length] + more, reserve) / 1e9 for length in sorted(peaks)]
            found.append(Curve(panel, placement, precision, sorted(peaks), sizes))
    return found


def _with_reserve(peak_bytes: float, reserve: Any) -> float:
    taken = sum(reserve[f"cuda_{name}_bytes"] for name in ("context", "workspace", "segment"))
    return peak_bytes * (1 + reserve["cuda_rounding"]) + taken


def draw(found: Sequence[Curve], figure: Figure, theme: Theme) -> None:
    """Stock on the left, ours on the right; a line across for each card."""
    figure.set_size_inches(9.4, 5.4)
    panels = dict(zip((STOCK, OURS), figure.subplots(1, 2, sharey=True, gridspec_kw={"wspace": 0.08}), strict=True))
    styles = {(panel, placement): (line, words) for panel, placement, _, line, words in WAYS}
    for name, axes in panels.items():
        _draw_cards(axes, theme, found[0].lengths, named=name == OURS)
        for curve in (each for each in found if each.panel == name):
            line, words = styles[name, curve.placement]
            streamed = curve.placement == "streamed"
            label = "weights streamed, any precision" if streamed else WORDS[curve.precision] + words
            color = theme.colors["grey" if streamed else COLORS[curve.precision]]
            axes.plot(curve.lengths, curve.gigabytes, line, color=color, linewidth=2, label=label)
        axes.set_title(name, fontweight="bold")
        ground = {"frameon": True, "facecolor": theme.page, "edgecolor": "none", "framealpha": 1}
        axes.legend(loc="lower right" if name == STOCK else "upper left", fontsize=8, **ground)
    for precision, size in ARTICLE_MEMORY_GB.items():
        mark_article(panels[STOCK], theme, size, f"{size:g} GB {precision}")
    panels[STOCK].set_ylabel("GB of a graphics card")
    figure.suptitle("Memory against length by precision, ESMFold v1 (planned)", x=0.01, ha="left", fontweight="bold")
    figure.supxlabel(f"{_NOTE}\n{ARTICLE_NOTE}", x=0.01, ha="left", fontsize=8, color=theme.muted)


def _draw_cards(axes: Axes, theme: Theme, lengths: Sequence[int], *, named: bool) -> None:
    """Both axes logarithmic."""
    axes.grid(False)
    for size in CARDS_GB:
        axes.axhline(size, color=theme.muted, linewidth=0.6, alpha=0.7, zorder=0)
        if named:
            place = {"xytext": (4, 0), "textcoords": "offset points", "va": "center", "fontsize": 8}
            end = (lengths[-1] * 1.05, size)
            axes.annotate(f"{size} GB card", end, annotation_clip=False, color=theme.muted, **place)
    axes.set(xscale="log", yscale="log", xlim=(lengths[0], lengths[-1] * 1.05), ylim=_LIMITS_GB, xlabel="residues")
    axes.set_xticks([length for length in lengths if length & (length - 1) == 0])
    axes.set_yticks([1, 2, 4, 8, 16, 32, 64])
    for axis in (axes.xaxis, axes.yaxis):
        plain_numbers(axis)


def write() -> None:
    """Draw the committed records."""
    write_picture(PICTURE, draw, curves(read()))
