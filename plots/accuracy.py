"""How near a structure is to that in fp32, by length and precision: `precision-drift` and `demo-accuracy` records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lowmem_fold.bench.accuracy import Summary, summary
from lowmem_fold.bench.records import Measurement, read_measurements
from lowmem_fold.system.style import Theme

from .precisions import COLORS, WORDS
from .style import write as write_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["BY_LENGTH", "PICTURE", "QUANTITY", "RESULTS", "Drift", "draw", "drifts", "read", "write"]

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results"
PICTURE = Path(__file__).parent / "accuracy.png"
QUANTITY = "lddt_ca"
#: What is drawn against length: mark.
BY_LENGTH = {"fp16": "s", "int8": "D", "int4": "^"}
_NOTE = (
    "lDDT-CA compares the distances of CA atoms; 1 is the same structure. fp16 is 1: the demo's language model is"
    " stored so.\nThe demo model is small and unsure, which shows more of a precision than a large model should; the"
    " published weights have not been measured."
)


class Drift(NamedTuple):
    """A precision: by chain its residues and its lDDT-CA to the same chain in fp32, and these in short."""

    precision: str
    lengths: list[int]
    values: list[float]
    summary: Summary


def read() -> list[Measurement]:
    return [m for name in ("demo", "precision") for m in read_measurements(RESULTS / f"{name}.jsonl")]


def drifts(measurements: Sequence[Measurement]) -> list[Drift]:
    """Of the precisions that have words, in their order; the lengths are those of the same chains in other records.

    Raises
    ------
    KeyError
        A chain's length is not known.
    """
    lengths = {
        chain: length
        for m in measurements
        if m.benchmark == "demo-accuracy" and m.requested["predictor"] == "demo"
        for chain, length in zip(m.resolved["chains"], m.resolved["lengths"], strict=True)
    }
    found = {
        m.requested["precision"]: Drift(
            m.requested["precision"],
            [lengths[chain] for chain in m.resolved["chains"]],
            list(m.samples[QUANTITY]),
            summary(QUANTITY, m.samples[QUANTITY]),
        )
        for m in measurements
        if m.benchmark == "precision-drift"
    }
    return [found[precision] for precision in WORDS if precision in found]


def draw(found: Sequence[Drift], figure: Figure, theme: Theme) -> None:
    """By length on the left, every precision on the right."""
    figure.set_size_inches(9.4, 4.6)
    left, right = figure.subplots(1, 2)
    for drift in found:
        if drift.precision in BY_LENGTH:
            style = {"color": theme.colors[COLORS[drift.precision]], "marker": BY_LENGTH[drift.precision]}
            label = WORDS[drift.precision]
            left.plot(drift.lengths, drift.values, linestyle="none", alpha=0.75, label=label, **style)
    left.set(xlabel="residues", ylabel="lDDT-CA to the structure in fp32", title="each chain, against its length")
    left.legend(loc="lower left", fontsize=8)
    _draw_all(right, found, theme)
    bottom = min(min(drift.values) for drift in found)
    left.set_ylim(bottom - 0.22, 1.02)
    chains = len(found[0].values)
    title = f"Accuracy against length by precision: the demo model on {chains} chains that it never saw"
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    figure.supxlabel(_NOTE, x=0.01, ha="left", fontsize=8, color=theme.muted)


def _draw_all(axes: Axes, found: Sequence[Drift], theme: Theme) -> None:
    """Median and its interval."""
    for place, drift in enumerate(found):
        middle, (low, high) = drift.summary.median, drift.summary.interval
        color = theme.colors[COLORS.get(drift.precision, "blue")]
        off = [[middle - low], [high - middle]]
        axes.errorbar([middle], [place], xerr=off, fmt="o", color=color, markersize=6, capsize=3)
        axes.annotate(
            f"{middle:.3f}", (low, place), xytext=(-6, 0), textcoords="offset points", ha="right", va="center"
        )
    axes.set_yticks(range(len(found)), [WORDS[drift.precision] for drift in found])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    lowest = min(drift.summary.interval[0] for drift in found)
    axes.set(xlabel="lDDT-CA to the structure in fp32", title="median and its 95 % interval")
    axes.set_xlim(lowest - 0.25 * (1.01 - lowest), 1.01)


def write() -> None:
    """Draw the committed records."""
    write_picture(PICTURE, draw, drifts(read()))
