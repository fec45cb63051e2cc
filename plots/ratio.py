"""Memory and time compared with stock against length, from the `engine-memory` and `engine-speed` records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.engine import pass_ratio
from lowmem_fold.bench.records import Measurement, read_measurements
from lowmem_fold.system.style import Theme, plain_numbers

from .style import write as write_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PICTURE", "RESULTS", "Ratios", "draw", "ratios", "write"]

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results" / "engine.jsonl"
PICTURE = Path(__file__).parent / "ratio.png"
_MEMORY = {
    "64": ("blue", "o-", "compared with stock, chunk_size 64"),
    "None": ("sky", "s--", "compared with stock, unchunked"),
}


@dataclass(frozen=True)
class Ratios:
    """Ours over stock's, by length; of a configuration that was measured again the last record counts.

    memory: of peak activation bytes, by stock's chunk_size. seconds: of a trunk pass, the median over turns, stock with
    chunk_size 64.
    """

    memory: dict[str, dict[int, float]]
    seconds: dict[int, float]


def ratios(measurements: Sequence[Measurement]) -> Ratios:
    peaks = {
        (m.requested["code"] == "lowmem_fold" or str(m.requested["chunk_size"]), m.requested["length"]): m.samples[
            "peak_bytes"
        ][0]
        for m in measurements
        if m.benchmark == "engine-memory"
    }
    memory = {
        chunk: {n: peaks[True, n] / peak for (code, n), peak in peaks.items() if code == chunk} for chunk in _MEMORY
    }
    seconds = {m.requested["length"]: pass_ratio(m) for m in measurements if m.benchmark == "engine-speed"}
    return Ratios(memory, seconds)


def draw(found: Ratios, figure: Figure, theme: Theme) -> None:
    """Memory on the left, seconds on the right; stock is the line at 1."""
    figure.set_size_inches(7.6, 3.8)
    left, right = figure.subplots(1, 2)
    for chunk, (color, line, label) in _MEMORY.items():
        lengths = sorted(found.memory[chunk])
        values = [found.memory[chunk][n] for n in lengths]
        left.plot(lengths, values, line, color=theme.colors[color], linewidth=2, label=label)
    lengths, values = sorted(found.seconds), [found.seconds[n] for n in sorted(found.seconds)]
    right.plot(
        lengths, values, "o-", color=theme.colors["blue"], linewidth=2, label="compared with stock, chunk_size 64"
    )
    for n, value in zip(lengths, values, strict=True):
        right.annotate(f"{value:.2f}", (n, value), xytext=(0, 7), textcoords="offset points", ha="center", fontsize=9)
    for axes, title in ((left, "peak activation memory"), (right, "seconds of a trunk pass, CPU")):
        axes.axhline(1, color=theme.colors["orange"], linewidth=1.5)
        axes.annotate("stock = 1", (0.98, 1), xycoords=axes.get_yaxis_transform(), ha="right", va="bottom", fontsize=9)
        axes.set(ylim=(0, 1.15), xlabel="residues", title=title, xscale="log")
        axes.legend(loc="upper left", bbox_to_anchor=(0, 0.86))
        plain_numbers(axes.xaxis)
    left.set_xticks(sorted(found.memory["64"]))
    right.set(xticks=lengths, xlim=(110, 450))
    left.set_ylabel("lowmem_fold / stock transformers")
    figure.suptitle("Compared with stock ESMFold (transformers): ESMFold v1 in float32", x=0.01, ha="left")


def write() -> None:
    """Draw the committed records."""
    write_picture(PICTURE, draw, ratios(read_measurements(RESULTS)))
