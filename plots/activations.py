"""Activation memory against length, from the `engine-memory` records: `python -m plots.activations` draws it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lowmem_fold.bench.records import Measurement, read_measurements

__all__ = ["Curve", "curves", "draw"]

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results" / "engine.jsonl"
PICTURE = Path(__file__).parent / "activations.png"

Curve = tuple[str, list[int], list[float]]
STYLES = {
    "lowmem_fold": ("#0053D6", "-", "lowmem_fold"),
    "64": ("#FF7D45", "-", "transformers, chunk_size 64"),
    "128": ("#FF7D45", "--", "transformers, chunk_size 128"),
    "None": ("#888888", ":", "transformers, unchunked"),
}


def curves(measurements: Sequence[Measurement]) -> list[Curve]:
    """For each code: its key in STYLES, lengths and peaks in GiB. The last record of a configuration counts."""
    peaks: dict[str, dict[int, float]] = {key: {} for key in STYLES}
    for measurement in measurements:
        if measurement.benchmark == "engine-memory" and measurement.status == "ok":
            asked = measurement.requested
            key = "lowmem_fold" if asked["code"] == "lowmem_fold" else str(asked["chunk_size"])
            peaks[key][asked["length"]] = max(measurement.samples["peak_bytes"]) / 2**30
    return [(key, sorted(found), [found[length] for length in sorted(found)]) for key, found in peaks.items()]


def draw(found: Sequence[Curve], path: Path) -> None:
    """Write the picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter

    figure, axes = pyplot.subplots(figsize=(7.2, 4.2), dpi=150, layout="constrained")
    for key, lengths, peaks in found:
        color, line, label = STYLES[key]
        axes.plot(lengths, peaks, line, color=color, marker="o", markersize=4, label=label)
        above = {"128": 5, "64": -5}.get(key, 0)  # two lines that end close to one another
        place = {"xytext": (6, above), "textcoords": "offset points", "va": "center", "fontsize": 9}
        axes.annotate(f"{peaks[-1]:.0f} GiB", (lengths[-1], peaks[-1]), **place)
    axes.set(xscale="log", yscale="log", xlabel="residues", ylabel="GiB above the weights")
    axes.set_title("Peak activation memory of ESMFold v1, float32", loc="left", fontsize=11)
    axes.set_xticks(found[0][1])
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.minorticks_off()
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    figure.savefig(path)
    pyplot.close(figure)


if __name__ == "__main__":
    draw(curves(read_measurements(RESULTS)), PICTURE)
    print(PICTURE)
