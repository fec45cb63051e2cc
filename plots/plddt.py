"""pLDDT of each protein at a precision against its own in fp32, from the `precision-drift` and `demo-accuracy`
records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lowmem_fold.bench.records import Measurement, read_measurements
from lowmem_fold.system.style import Theme

from .style import write as write_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PICTURE", "PRECISIONS", "Pairs", "draw", "pairs", "read", "write"]

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results"
PICTURE = Path(__file__).parent / "plddt.png"
PRECISIONS = ("bf16", "int8", "float8", "pair=bf16", "int4", "bnb-nf4")

Pairs = dict[str, tuple[list[float], list[float]]]


def read() -> list[Measurement]:
    return [m for name in ("demo", "precision") for m in read_measurements(RESULTS / f"{name}.jsonl")]


def pairs(measurements: Sequence[Measurement]) -> Pairs:
    """By precision: the mean pLDDT of each chain in fp32 and at the precision, both 0 to 100.

    The drift's records hold the difference to fp32, those of the accuracy the pLDDT in fp32 of the same chains.

    Raises
    ------
    ValueError
        The two are of other chains or another model.
    """
    accuracy = [m for m in measurements if m.benchmark == "demo-accuracy" and m.requested["predictor"] == "demo"][-1]
    before = accuracy.samples["mean_plddt"]
    found = {}
    for m in measurements:
        if m.benchmark == "precision-drift" and m.requested["precision"] in PRECISIONS:
            if _of(m) != _of(accuracy):
                raise ValueError(f"{m.requested['precision']}: fp32 was measured on other chains or another model")
            after = [a + b for a, b in zip(before, m.samples["plddt_difference"], strict=True)]
            found[m.requested["precision"]] = (list(before), after)
    return {precision: found[precision] for precision in PRECISIONS if precision in found}


def _of(measurement: Measurement) -> tuple:
    resolved = measurement.resolved
    return resolved["chains"], resolved["model"]["fingerprint"], measurement.requested["num_recycles"]


def draw(found: Pairs, figure: Figure, theme: Theme) -> None:
    """A panel for each precision."""
    figure.set_size_inches(7.6, 5.6)
    grid = figure.subplots(2, 3, sharex=True, sharey=True)
    everything = [value for both in found.values() for values in both for value in values]
    ends = (min(everything) - 2, max(everything) + 2)
    for axes, (precision, (before, after)) in zip(grid.flat, found.items(), strict=True):
        _draw_one(axes, theme, precision, before, after)
        axes.set(xlim=ends, ylim=ends, aspect="equal")
    chains = len(next(iter(found.values()))[0])
    figure.supxlabel("mean pLDDT in fp32, 0 to 100", fontsize=10)
    figure.supylabel("mean pLDDT at the precision", fontsize=10)
    figure.suptitle(f"pLDDT of the demo model on {chains} chains, each beside itself in fp32", x=0.01, ha="left")


def _draw_one(axes: Axes, theme: Theme, precision: str, before: list[float], after: list[float]) -> None:
    off = np.abs(np.subtract(after, before))
    axes.axline((40, 40), slope=1, color=theme.muted, linewidth=0.8)
    axes.plot(before, after, "o", color=theme.colors["blue"], markersize=3.5, alpha=0.75, markeredgewidth=0)
    axes.set_title(precision)
    said = f"median off by {np.median(off):.2f},\nat most {off.max():.2f} points"
    axes.text(0.05, 0.95, said, transform=axes.transAxes, va="top", fontsize=9, color=theme.muted)


def write() -> None:
    """Draw the committed records."""
    write_picture(PICTURE, draw, pairs(read()))
