"""Seconds of a fold against length by precision, at full size on a CPU, from a sweep's records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lowmem_fold.bench.groups import groups
from lowmem_fold.bench.records import Measurement, read_measurements
from lowmem_fold.system.style import Theme, plain_numbers

from .precisions import ARTICLE_NOTE, ARTICLE_SECONDS, COLORS, WORDS, mark_article
from .style import write as write_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PANELS", "PICTURE", "RESULTS", "Times", "draw", "times", "write"]

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results" / "sweep-stand-in.jsonl"
PICTURE = Path(__file__).parent / "time.png"
#: By panel, the ways of the sweep: colour, line and words.
PANELS = {
    "stock ESMFold (transformers)": {
        "stock fp32": (COLORS["fp32"], "o:", "fp32, unchunked"),
        "stock chunk_size 64": (COLORS["fp32"], "o-", "fp32, chunk_size 64"),
        "stock fp16 stem": (COLORS["fp16"], "s-", "fp16 (language model), unchunked"),
    },
    "lowmem_fold": {
        "lowmem_fold fp32, resident": (COLORS["fp32"], "o-", WORDS["fp32"]),
        "lowmem_fold fp16, resident": (COLORS["fp16"], "s-", WORDS["fp16"]),
        "lowmem_fold int8, resident": (COLORS["int8"], "D-", WORDS["int8"]),
        "lowmem_fold int4, resident": (COLORS["int4"], "^-", WORDS["int4"]),
        "lowmem_fold fp32, streamed": ("grey", "v--", "fp32, weights streamed from the file"),
    },
}


class Times(NamedTuple):
    """Where it was measured, passes of the trunk, and by way the residues with their median seconds."""

    machine: str
    passes: int
    curves: dict[str, list[tuple[int, float]]]


def times(measurements: Sequence[Measurement]) -> Times:
    """Of the machine with the most records."""
    group = max(groups(measurements), key=lambda each: len(each.records))
    ways = (way for panel in PANELS.values() for way in panel)
    curves = {way: curve for way in ways if (curve := group.curve(way, "seconds"))}
    return Times(group.machine, group.num_recycles + 1, curves)


def draw(found: Times, figure: Figure, theme: Theme) -> None:
    """Stock on the left, ours on the right, both axes logarithmic."""
    figure.set_size_inches(9.4, 4.8)
    panels = dict(
        zip(PANELS, figure.subplots(1, 2, sharey=True, sharex=True, gridspec_kw={"wspace": 0.06}), strict=True)
    )
    for name, axes in panels.items():
        _draw_panel(axes, theme, found, name)
    stock, _ = panels.values()
    lengths = sorted({length for curve in found.curves.values() for length, _ in curve})
    low, high = (end(s for curve in found.curves.values() for _, s in curve) for end in (min, max))
    stock.set(xscale="log", yscale="log", ylabel="seconds of a fold", ylim=(0.6 * min(low, ARTICLE_SECONDS), 3 * high))
    stock.set_xlim(0.85 * lengths[0], 1.25 * lengths[-1])
    stock.set_xticks(lengths)
    for axis in (stock.xaxis, stock.yaxis):
        plain_numbers(axis)
    stock.set_yticks(
        [tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000) if stock.get_ylim()[0] <= tick <= high]
    )
    mark_article(stock, theme, ARTICLE_SECONDS, f"{ARTICLE_SECONDS:g} s, on a GPU")
    passes = f"{found.passes} pass{'' if found.passes == 1 else 'es'} of the trunk"
    figure.suptitle("Time against length by precision, ESMFold v1 on a CPU", x=0.01, ha="left", fontweight="bold")
    note = f"{found.machine}; random weights at full size, {passes}; timings are noisy on this machine.\n{ARTICLE_NOTE}"
    figure.supxlabel(note, x=0.01, ha="left", fontsize=8, color=theme.muted)


def _draw_panel(axes: Axes, theme: Theme, found: Times, name: str) -> None:
    for way, (color, line, label) in PANELS[name].items():
        if way in found.curves:
            lengths, seconds = zip(*found.curves[way], strict=True)
            axes.plot(lengths, seconds, line, color=theme.colors[color], linewidth=1.8, markersize=5, label=label)
    axes.set_title(name, fontweight="bold")
    axes.set_xlabel("residues")
    axes.legend(loc="upper left", fontsize=8)


def write() -> None:
    """Draw the committed records."""
    write_picture(PICTURE, draw, times(read_measurements(RESULTS)))
