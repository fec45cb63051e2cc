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
    "stock": ("orange", "transformers, chunk_size 64"),
}
CAP_GB = 1.5


def latest(measurements: Sequence[Measurement]) -> dict[str, Measurement]:
    """The last record of each way."""
    found = {m.requested["way"]: m for m in measurements if m.benchmark == "streaming" and m.status == "ok"}
    return {way: found[way] for way in STYLES if way in found}


def draw(found: dict[str, Measurement], figure: Figure, theme: Theme) -> None:
    """One panel a way, as each has its own phases."""
    figure.set_size_inches(7.6, 1.8 * len(found) + 0.6)
    panels = figure.subplots(len(found), 1)
    for axes, (way, measurement) in zip(panels, found.items(), strict=True):
        _draw_way(axes, theme, way, measurement)
    requested = next(iter(found.values())).requested
    panels[-1].set_xlabel("seconds")
    title = f"Anonymous memory of folding {requested['length']} residues, ESMFold v1's shapes, float32, on a CPU"
    figure.suptitle(title, x=0.01, ha="left")


def _draw_way(axes: Axes, theme: Theme, way: str, measurement: Measurement) -> None:
    color, label = STYLES[way]
    seconds, held = measurement.samples["seconds"], [size / 1e9 for size in measurement.samples["anonymous_bytes"]]
    top = 1.3 * max(max(held), CAP_GB)
    axes.grid(False)
    axes.fill_between(seconds, held, color=theme.colors[color], alpha=0.25, linewidth=0)
    axes.plot(seconds, held, color=theme.colors[color], linewidth=1.5)
    axes.set_title(f"{label}: {max(held):.2f} GB")
    begin = 0.0
    for name, end in measurement.resolved["phases"].items():
        axes.axvline(end, color=theme.muted, linewidth=0.7, linestyle=":")
        if end - begin > 0.06 * seconds[-1]:
            axes.text((begin + end) / 2, 0.95 * top, name, ha="center", va="top", fontsize=9, color=theme.muted)
        begin = end
    if way == "streamed":
        axes.axhline(CAP_GB, color=theme.muted, linewidth=0.8, linestyle="--")
    axes.set(xlim=(0, seconds[-1]), ylim=(0, top), ylabel="GB")


def write() -> None:
    """Draw the committed records."""
    write_picture(PICTURE, draw, latest(read_measurements(RESULTS)))
