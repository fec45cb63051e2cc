"""Memory over the phases of a full-size fold on a CPU, from the `streaming` records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lowmem_fold.bench.records import Measurement, read_measurements
from lowmem_fold.system.style import Theme

from .style import write as write_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PICTURE", "RESULTS", "draw", "latest", "write"]

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results" / "streaming.jsonl"
PICTURE = Path(__file__).parent / "streaming.png"
STYLES = {
    "streamed": ("blue", "lowmem_fold, weights streamed from the file"),
    "resident": ("sky", "lowmem_fold, weights in memory"),
    "stock": ("orange", "stock ESMFold (transformers), chunk_size 64"),
}
CAP_GB = 1.5
PHASES = {"stem": "language model", "load": "loading"}
_NOTE = "Random weights at full size; timings are noisy on this machine. Pages of the mapped weight file do not count."


def latest(measurements: Sequence[Measurement]) -> dict[str, Measurement]:
    """The last record of each way."""
    found = {m.requested["way"]: m for m in measurements if m.benchmark == "streaming" and m.status == "ok"}
    return {way: found[way] for way in STYLES if way in found}


def draw(found: dict[str, Measurement], figure: Figure, theme: Theme) -> None:
    """One panel a way, as each has its own phases; time and memory on the same axes."""
    figure.set_size_inches(7.6, 1.8 * len(found) + 0.6)
    panels = figure.subplots(len(found), 1, sharex=True, sharey=True)
    for axes, (way, measurement) in zip(panels, found.items(), strict=True):
        _draw_way(axes, theme, way, measurement)
    longest = max(measurement.samples["seconds"][-1] for measurement in found.values())
    most = max(max(measurement.samples["anonymous_bytes"]) for measurement in found.values()) / 1e9
    panels[-1].set(xlim=(0, longest), ylim=(0, 1.35 * most))
    requested = next(iter(found.values())).requested
    panels[-1].set_xlabel("seconds")
    title = f"Memory (RAM) while folding {requested['length']} residues on a CPU: ESMFold v1, float32"
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    figure.supxlabel(_NOTE, x=0.01, ha="left", fontsize=8, color=theme.muted)


def _draw_way(axes: Axes, theme: Theme, way: str, measurement: Measurement) -> None:
    color, label = STYLES[way]
    seconds, held = measurement.samples["seconds"], [size / 1e9 for size in measurement.samples["anonymous_bytes"]]
    axes.grid(False)
    axes.fill_between(seconds, held, color=theme.colors[color], alpha=0.25, linewidth=0)
    axes.plot(seconds, held, color=theme.colors[color], linewidth=1.5)
    axes.set_title(f"{label}: at most {max(held):.2f} GB, {seconds[-1]:.0f} seconds")
    begin = 0.0
    for name, end in measurement.resolved["phases"].items():
        axes.axvline(end, color=theme.muted, linewidth=0.7, linestyle=":")
        if end - begin > 10:
            at = {"transform": axes.get_xaxis_transform(), "ha": "center", "va": "top", "fontsize": 9}
            at["bbox"] = {"facecolor": theme.page, "edgecolor": "none", "pad": 0.5}
            axes.text((begin + end) / 2, 0.97, PHASES.get(name, name), color=theme.muted, **at)
        begin = end
    if way == "streamed":
        axes.axhline(CAP_GB, color=theme.muted, linewidth=0.8, linestyle="--")
        axes.annotate(f"{CAP_GB} GB", (0.995, CAP_GB), xycoords=axes.get_yaxis_transform(), ha="right", va="bottom")
    axes.set_ylabel("GB")


def write() -> None:
    """Draw the committed records."""
    write_picture(PICTURE, draw, latest(read_measurements(RESULTS)))
