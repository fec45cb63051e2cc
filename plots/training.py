"""Losses of the demo model's training over time, from its log: `python -m plots.training` writes training.png."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from lowmem_fold.demo import MODEL_FOLDER

__all__ = ["LOG", "PICTURE", "draw", "read_log", "series"]

LOG = MODEL_FOLDER / "training.jsonl"
PICTURE = Path(__file__).parent / "training.png"

Series = tuple[list[float], list[float]]
PANELS = {
    "distogram (cross-entropy)": ("distogram",),
    "frame-aligned point error / 10 Å": ("fape",),
    "1 - smooth lDDT-CA": ("smooth_lddt",),
    "torsions and chi (squared, unit circle)": ("torsion", "chi"),
    "pLDDT and PAE (cross-entropy)": ("plddt", "pae"),
    "held-out clusters, 2 recycles": ("lddt_ca", "pearson"),
}
LABELS = {
    "torsion": "ω, φ, ψ",
    "chi": "χ",
    "plddt": "pLDDT",
    "pae": "PAE",
    "lddt_ca": "lDDT-CA",
    "pearson": "pLDDT with lDDT-CA",
}
COLORS = {"train": ("#9FBBE8", "#FFC4A3"), "validation": ("#0053D6", "#FF7D45")}


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


def draw(records: Sequence[dict], path: Path) -> None:
    """Write the picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, grid = pyplot.subplots(2, 3, figsize=(10.5, 5.4), dpi=130, layout="constrained", sharex=True)
    for axes, (title, names) in zip(grid.flat, PANELS.items(), strict=True):
        for i, name in enumerate(names):
            label = LABELS.get(name, "")
            for kind, style in (("train", "-"), ("validation", "o-")):
                minutes, values = series(records, name, kind)
                if minutes:
                    shown = f"{label}, {kind}" if label and "held-out" not in title else label or kind
                    axes.plot(minutes, values, style, color=COLORS[kind][i], markersize=3, lw=1, label=shown)
        if not axes.lines:
            continue
        axes.set_title(title, loc="left", fontsize=9)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=7)
    for axes in grid[1]:
        axes.set_xlabel("minutes of training")
    grid[0, 1].set_ylim(top=2.0)
    figure.savefig(path)
    pyplot.close(figure)


if __name__ == "__main__":
    draw(read_log(), PICTURE)
    print(PICTURE)
