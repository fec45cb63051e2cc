"""Memory over the phases of a full-size fold on a CPU, from the `streaming` records: `python -m plots.streaming` writes
streaming.png."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lowmem_fold.bench.records import Measurement, read_measurements

__all__ = ["draw", "latest"]

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results" / "streaming.jsonl"
PICTURE = Path(__file__).parent / "streaming.png"
STYLES = {
    "streamed": ("#0053D6", "lowmem_fold, weights streamed from the file"),
    "resident": ("#65CBF3", "lowmem_fold, weights in memory"),
    "stock": ("#FF7D45", "transformers, chunk_size 64"),
}
CAP_GB = 1.5


def latest(measurements: Sequence[Measurement]) -> dict[str, Measurement]:
    """The last record of each way."""
    found = {m.requested["way"]: m for m in measurements if m.benchmark == "streaming" and m.status == "ok"}
    return {way: found[way] for way in STYLES if way in found}


def draw(found: dict[str, Measurement], path: Path) -> None:
    """Write the picture: one panel a way, as each has its own phases."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(
        len(found), 1, figsize=(7.2, 1.7 * len(found) + 0.6), dpi=150, layout="constrained"
    )
    for axes, (way, measurement) in zip(panels, found.items(), strict=True):
        color, label = STYLES[way]
        seconds, held = measurement.samples["seconds"], [size / 1e9 for size in measurement.samples["anonymous_bytes"]]
        axes.fill_between(seconds, held, color=color, alpha=0.25, linewidth=0)
        axes.plot(seconds, held, color=color, linewidth=1.5)
        axes.set_title(f"{label}: {max(held):.2f} GB", loc="left", fontsize=10)
        begin, top = 0.0, 1.25 * max(max(held), CAP_GB)
        for name, end in measurement.resolved["phases"].items():
            axes.axvline(end, color="#999999", linewidth=0.6, linestyle=":")
            if end - begin > 0.06 * seconds[-1]:
                axes.text((begin + end) / 2, 0.95 * top, name, ha="center", va="top", fontsize=8, color="#555555")
            begin = end
        if way == "streamed":
            axes.axhline(CAP_GB, color="#999999", linewidth=0.8, linestyle="--")
        axes.set(xlim=(0, seconds[-1]), ylim=(0, top), ylabel="GB")
        axes.spines[["top", "right"]].set_visible(False)
    requested = next(iter(found.values())).requested
    panels[-1].set_xlabel("seconds")
    title = f"Anonymous memory of folding {requested['length']} residues, ESMFold v1's shapes, float32, on a CPU"
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    figure.savefig(path)
    pyplot.close(figure)


if __name__ == "__main__":
    draw(latest(list(read_measurements(RESULTS))), PICTURE)
    print(PICTURE)
