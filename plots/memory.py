"""Memory against length, weights included, and the cards it fits, from the `planning-peaks` records.

`python -m benchmarks.planning --write` writes memory.png.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lowmem_fold.bench.records import Measurement

__all__ = ["PICTURE", "Curve", "curves", "draw"]

PICTURE = Path(__file__).parent / "memory.png"
CARDS_GB = (8, 12, 16, 24, 40, 80)

Curve = tuple[str, list[int], list[float]]
STYLES = {
    "unchunked": ("#888888", ":", "transformers, unchunked"),
    "chunk_size 64": ("#FF7D45", "-", "transformers, chunk_size 64"),
    "resident": ("#0053D6", "-", "lowmem_fold, weights on the card"),
    "streamed": ("#0053D6", "--", "lowmem_fold, weights streamed"),
}
_LIMITS_GIB = (0.2, 200)


def curves(measurements: Sequence[Measurement]) -> list[Curve]:
    """For each way: its key in STYLES, lengths and peaks in GiB."""
    peaks: dict[str, dict[int, float]] = {key: {} for key in STYLES}
    for measurement in measurements:
        asked = measurement.requested
        if measurement.benchmark == "planning-peaks" and asked["placement"] in peaks:
            peaks[asked["placement"]][asked["length"]] = measurement.samples["peak_bytes"][0] / 2**30
    return [(key, sorted(found), [found[length] for length in sorted(found)]) for key, found in peaks.items()]


def draw(found: Sequence[Curve], path: Path) -> None:
    """Write the picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter, NullLocator

    figure, axes = pyplot.subplots(figsize=(7.6, 4.6), dpi=150, layout="constrained")
    lengths = found[0][1]
    for size in CARDS_GB:
        axes.axhline(size * 1e9 / 2**30, color="#BBBBBB", linewidth=0.8, zorder=0)
        place = {"xytext": (4, 0), "textcoords": "offset points", "va": "center", "fontsize": 8, "color": "#666666"}
        axes.annotate(f"{size} GB", (lengths[-1] * 1.12, size * 1e9 / 2**30), annotation_clip=False, **place)
    for key, of_curve, peaks in found:
        color, line, label = STYLES[key]
        axes.plot(of_curve, peaks, line, color=color, linewidth=2, label=label)
    axes.set(xscale="log", yscale="log", xlim=(lengths[0], lengths[-1] * 1.12), ylim=_LIMITS_GIB)
    axes.set(xlabel="residues", ylabel="GiB, weights included")
    axes.set_title("Peak memory of ESMFold v1: stem in float16, all else in float32", loc="left", fontsize=11)
    axes.set_xticks([length for length in lengths if length & (length - 1) == 0])
    axes.set_yticks([0.25, 0.5, 1, 2, 4, 8, 16, 32, 64])
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_locator(NullLocator())
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(facecolor="white", edgecolor="none", framealpha=1, fontsize=9, loc="upper left")
    figure.savefig(path)
    pyplot.close(figure)
