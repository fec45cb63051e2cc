"""Size of ESMFold v1's weights at each precision, by part of the model, from the `loading` records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lowmem_fold.bench.records import Measurement, read_measurements
from lowmem_fold.system.style import Theme

from .precisions import WORDS
from .style import write as write_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PICTURE", "RESULTS", "SECTIONS", "draw", "sizes", "write"]

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results" / "loading.jsonl"
PICTURE = Path(__file__).parent / "sizes.png"
#: Parts of the model by their names in the records: colour and words.
SECTIONS = {
    "stem": ("blue", "language model (ESM-2, 3 billion weights)"),
    "trunk": ("sky", "folding trunk, sequence layers"),
    "pair-modules": ("green", "folding trunk, pair layers"),
    "structure": ("orange", "structure module and heads"),
}
_NOTE = (
    "fp16 is what is published: the language model in half precision. The pair layers stay in fp32 at every precision."
)


def sizes(measurements: Sequence[Measurement]) -> dict[str, dict[str, int]]:
    """By precision the bytes of each of SECTIONS; of what was measured again the last record counts."""
    return {
        m.requested["precision"]: {name: m.resolved["weights"][name]["bytes"] for name in SECTIONS}
        for m in measurements
        if m.benchmark == "loading"
    }


def draw(found: Mapping[str, Mapping[str, int]], figure: Figure, theme: Theme) -> None:
    """A bar for each precision, the largest on top, with its size in all."""
    figure.set_size_inches(7.6, 4.4)
    axes = figure.subplots()
    order = sorted(found, key=lambda precision: -sum(found[precision].values()))
    begin = [0.0] * len(order)
    for name, (color, label) in SECTIONS.items():
        widths = [found[precision][name] / 1e9 for precision in order]
        axes.barh(range(len(order)), widths, left=begin, color=theme.colors[color], label=label)
        begin = [left + width for left, width in zip(begin, widths, strict=True)]
    for place, total in enumerate(begin):
        style = {"xytext": (5, 0), "textcoords": "offset points", "va": "center", "fontsize": 9}
        axes.annotate(f"{total:.1f} GB", (total, place), **style)
    axes.set_yticks(range(len(order)), [WORDS[precision] for precision in order])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set(xlabel="GB of weights", xlim=(0, 1.12 * max(begin)))
    axes.legend(loc="lower right")
    figure.suptitle("Size of ESMFold v1 at each precision", x=0.01, ha="left", fontweight="bold")
    figure.supxlabel(_NOTE, x=0.01, ha="left", fontsize=8, color=theme.muted)


def write() -> None:
    """Draw the committed records."""
    write_picture(PICTURE, draw, sizes(read_measurements(RESULTS)))
