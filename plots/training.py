"""Losses of the demo model's training over time, from its log."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lowmem_fold.demo import MODEL_FOLDER
from lowmem_fold.system.style import Theme

from .style import write as write_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["LOG", "PICTURE", "draw", "read_log", "series", "write"]

LOG = MODEL_FOLDER / "training.jsonl"
PICTURE = Path(__file__).parent / "training.png"

Series = tuple[list[float], list[float]]
PANELS = {
    "distogram (cross-entropy)": ("distogram",),
    "frame-aligned point error / 10 Å": ("fape",),
    "1 - smooth lDDT-CA": ("smooth_lddt",),
    "torsions and chi (squared, unit circle)": ("torsion", "chi"),
    "pLDDT and PAE (cross-entropy)": ("plddt", "pae"),
    "scores on proteins held out, 2 recycles": ("lddt_ca", "pearson"),
}
LABELS = {
    "torsion": "ω, φ, ψ",
    "chi": "χ",
    "plddt": "pLDDT",
    "pae": "PAE",
    "lddt_ca": "lDDT-CA",
    "pearson": "correlation, pLDDT and lDDT-CA",
}
LEGENDS = {
    "torsions and chi (squared, unit circle)": "upper left",
    "scores on proteins held out, 2 recycles": "lower right",
}
COLORS = ("blue", "orange")


def read_log(path: Path = LOG) -> list[dict]:
    """The lines of the log, their minutes counted on over runs that begin with the weights of the one before."""
    records, before, last = [], 0.0, 0.0
    for line in path.read_text().splitlines():
        record = json.loads(line)
        if record["kind"] == "start" and record["step"] == 0:
            before = last
        last = before + record["minutes"]
        records.append({**record, "minutes": last})
    return records


def series(records: Sequence[dict], name: str, kind: str) -> Series:
    """Minutes and values of a loss or score; of validation those with recycles."""
    found = [
        (record["minutes"], record[name])
        for record in records
        if record["kind"] == kind and name in record and (kind == "train" or record["recycles"])
    ]
    return [minutes for minutes, _ in found], [value for _, value in found]


def draw(records: Sequence[dict], figure: Figure, theme: Theme) -> None:
    """A panel for each kind of loss: thin lines of the training, marked ones of the validation."""
    figure.set_size_inches(10, 5.6)
    grid = figure.subplots(2, 3, sharex=True)
    for axes, (title, names) in zip(grid.flat, PANELS.items(), strict=True):
        for color, name in zip(COLORS, names, strict=False):
            _draw_series(axes, records, name, theme.colors[color], score="held out" in title)
        axes.set_title(title)
        if axes.lines:
            axes.legend(loc=LEGENDS.get(title, "upper right"), fontsize=8, handlelength=1.2)
    for axes in grid[1]:
        axes.set_xlabel("minutes of training")
    figure.suptitle("Training of the demo model: losses, and scores on proteins held out", x=0.01, ha="left")
    grid[0, 1].set_ylim(top=2.0)
    grid[1, 2].set_ylim(bottom=0.22)  # room for the legend


def _draw_series(axes: Axes, records: Sequence[dict], name: str, color: str, *, score: bool) -> None:
    label = LABELS.get(name, "")
    for kind, style in (("train", {"lw": 0.8, "alpha": 0.6}), ("validation", {"lw": 1.2, "marker": "o", "ms": 3})):
        minutes, values = series(records, name, kind)
        if minutes:
            shown = f"{label}, {kind}" if label and not score else label or kind
            axes.plot(minutes, values, color=color, label=shown, **style)


def write() -> None:
    """Draw the shipped log."""
    write_picture(PICTURE, draw, read_log())
