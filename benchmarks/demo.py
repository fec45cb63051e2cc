"""All that depends on the demo model's weights, measured and written again: `python -m benchmarks.demo`.

Run it after `python -m benchmarks.training.export`. It measures accuracy on the held-out chains beside the controls and
the time for 257 residues (`results/demo.jsonl`), and the drift of each precision (`results/precision.jsonl`). From
these records and the training log it writes the tables of the model card, of README.md, docs/precision.md and
`results/demo.md`, and the plot of the losses. With `--write` it only writes.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.training.evaluate import evaluate, summary
from lowmem_fold.bench.environment import describe_environment
from lowmem_fold.bench.records import Measurement, append_measurement, read_measurements
from lowmem_fold.demo import MODEL_FOLDER
from lowmem_fold.metrics import lddt, tm_score
from lowmem_fold.predictions.structures import read_backbones, read_pdb_folder
from lowmem_fold.sequences.residues import ATOM_ORDER
from plots import training

from . import loading, precision
from .pages import filled

ROOT = Path(__file__).parent.parent
DATA = Path(__file__).parent / "data"
RESULTS = Path(__file__).parent / "results" / "demo.jsonl"
NUM_RECYCLES = 3
FOLDS = 3


def measure() -> Iterator[Measurement]:
    """The time of the longest example, before anything is warm; then accuracy of the model and of each control."""
    yield _timed_fold()
    yield from evaluate(read_pdb_folder(DATA / "ts50"), "demo", NUM_RECYCLES, "cpu", controls=True)


def _timed_fold() -> Measurement:
    """Load the model and fold carbonic anhydrase II, as a user does; and how well it comes out."""
    began = time.perf_counter()
    from lowmem_fold import load

    folder = load("demo", device="cpu")
    loaded = time.perf_counter()
    (known,) = read_backbones(DATA / "ca2_5Y2S_A.npz")
    seconds = []
    for _ in range(FOLDS):
        start = time.perf_counter()
        prediction = folder.fold(known.sequence, num_recycles=NUM_RECYCLES)
        seconds.append(round(time.perf_counter() - start, 3))
    ca = ATOM_ORDER["CA"]
    only_ca = (slice(None), slice(ca, ca + 1))
    samples = {
        "load_seconds": [round(loaded - began, 3)],
        "fold_seconds": seconds,
        "tm_score": [tm_score(prediction.positions[:, ca], known.ca)],
        "lddt_ca": [lddt(prediction.positions[only_ca], known.positions[only_ca], known.atom_mask[only_ca])],
        "mean_plddt": [prediction.mean_plddt],
        "ptm": [prediction.ptm],
    }
    described = {name: value for name, value in folder.describe().items() if name != "source"}
    resolved = {"model": described, "suspect": "; ".join(prediction.problems()) or None}
    requested = {"structure": known.id, "length": known.length, "num_recycles": NUM_RECYCLES}
    return Measurement("demo-fold", requested, resolved, describe_environment(), samples)


def record(path: Path, measurements: Iterable[Measurement]) -> None:
    """Replace a file of results, once all is measured."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    for measurement in measurements:
        append_measurement(temporary, measurement)
        print(f"{path.name}: {measurement.benchmark} {dict(measurement.requested)}", flush=True)
    os.replace(temporary, path)


# --- what the records say, in words and tables


def by_predictor(measurements: Sequence[Measurement]) -> dict[str, Measurement]:
    """The accuracy records."""
    return {m.requested["predictor"]: m for m in measurements if m.benchmark == "demo-accuracy"}


def accuracy_table(measurements: Sequence[Measurement]) -> str:
    """Means over the held-out chains, a column for each predictor."""
    found = {name: summary(m.samples) for name, m in by_predictor(measurements).items()}
    rows = {
        "mean TM-score": ("mean_tm_score", "{:.3f}"),
        "mean lDDT-CA": ("mean_lddt_ca", "{:.3f}"),
        "chi 1 within 40 degrees": ("mean_chi1_right", "{:.0%}"),
        "chi 1 and 2 within 40 degrees": ("mean_chi12_right", "{:.0%}"),
        "mean pLDDT": ("mean_plddt", "{:.1f}"),
        "pLDDT with measured lDDT-CA, by residue": ("pearson_residues", "{:.2f}"),
        "the same, by protein": ("pearson_proteins", "{:.2f}"),
        "pTM with TM-score, by protein": ("pearson_ptm", "{:.2f}"),
    }
    lines = ["| | " + " | ".join(found) + " |", "|---" * (len(found) + 1) + "|"]
    for title, (name, style) in rows.items():
        cells = [style.format(scores[name]) if name in scores else "" for scores in found.values()]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def accuracy_text(measurements: Sequence[Measurement]) -> str:
    """The table, and what it hides."""
    samples = by_predictor(measurements)["demo"].samples
    scores, fold = np.array(samples["tm_score"]), _fold(measurements)
    off = np.mean(np.array(samples["ptm"]) - scores)
    seconds = np.median(fold.samples["fold_seconds"])
    suspect = fold.resolved["suspect"]
    environment = fold.environment["cpu"]
    return "\n".join(
        [
            accuracy_table(measurements),
            "",
            f"TM-scores run from {scores.min():.2f} to {scores.max():.2f}; {int((scores > 0.5).sum())} of {len(scores)}"
            " are over 0.5, above which a fold is mostly the real one.",
            f"pTM comes out {'low' if off < 0 else 'high'} by {abs(off):.2f} on average.",
            f"Human carbonic anhydrase II (257 residues): TM-score {fold.samples['tm_score'][0]:.2f}, lDDT-CA "
            f"{fold.samples['lddt_ca'][0]:.2f}, mean pLDDT {fold.samples['mean_plddt'][0]:.0f}, "
            + (f"marked suspect ({suspect});" if suspect else "not marked suspect;"),
            f"{seconds:.1f} seconds with 3 recycles on {environment['cores']} cores ({environment['model']}), after "
            f"{fold.samples['load_seconds'][0]:.1f} to load.",
        ]
    )


def _fold(measurements: Sequence[Measurement]) -> Measurement:
    return next(m for m in measurements if m.benchmark == "demo-fold")


def protein_table(measurements: Sequence[Measurement]) -> str:
    """A line for each held-out chain."""
    measurement = by_predictor(measurements)["demo"]
    names = ("tm_score", "lddt_ca", "mean_plddt", "ptm", "chi1_right")
    lines = [
        "# The demo model on each held-out chain",
        "",
        "Written by `python -m benchmarks.demo` from `demo.jsonl`, which also holds each residue's scores.",
        "",
        "| chain | residues | TM-score | lDDT-CA | mean pLDDT | pTM | chi 1 right |",
        "|---|---|---|---|---|---|---|",
    ]
    for i, (chain, length) in enumerate(
        zip(measurement.resolved["chains"], measurement.resolved["lengths"], strict=True)
    ):
        tm, lddt_ca, plddt, ptm, chi1 = (measurement.samples[name][i] for name in names)
        lines.append(f"| {chain} | {length} | {tm:.3f} | {lddt_ca:.3f} | {plddt:.1f} | {ptm:.3f} | {chi1:.0%} |")
    return "\n".join(lines) + "\n"


def training_table(log: Sequence[dict]) -> str:
    """Scores on the validation clusters over time, with recycles."""
    names = {
        "lddt_ca": "lDDT-CA",
        "fape": "FAPE / 10 A",
        "distogram": "distogram",
        "chi": "chi",
        "pearson": "pLDDT with lDDT-CA",
    }
    lines = ["| minutes | step of its run | " + " | ".join(names.values()) + " |", "|---" * (len(names) + 2) + "|"]
    for entry in log:
        if entry["kind"] == "validation" and entry["recycles"]:
            cells = [f"{entry[name]:.3f}" if name in entry else "" for name in names]
            lines.append(f"| {entry['minutes']:.0f} | {entry['step']:,} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def readme_text(measurements: Sequence[Measurement]) -> str:
    """Return what README.md says of the model."""
    scores = summary(by_predictor(measurements)["demo"].samples)
    pairs = summary(by_predictor(measurements)["random pairs"].samples)
    return (
        f"The demo model is small: mean TM-score {scores['mean_tm_score']:.2f} and lDDT-CA"
        f" {scores['mean_lddt_ca']:.2f} on 50 chains that it never saw, where random\n"
        f"pairs of real chains have {pairs['mean_tm_score']:.2f} and {pairs['mean_lddt_ca']:.2f}. Use it to try the"
        " program, never for conclusions about a protein\n"
        "([its card](lowmem_fold/demo/model/README.md))."
    )


def texts(
    measurements: Sequence[Measurement],
    drifts: Sequence[Measurement],
    loads: Sequence[Measurement],
    log: Sequence[dict],
) -> dict[Path, dict[str, str]]:
    """Each file's sections that are written here."""
    return {
        MODEL_FOLDER / "README.md": {"accuracy": accuracy_text(measurements), "training": training_table(log)},
        ROOT / "README.md": {"demo model": readme_text(measurements)},
        ROOT / "docs" / "precision.md": {
            "precision": precision.text(drifts, loads),
            "layers": precision.more_text(drifts),
        },
    }


def write() -> None:
    """Write all that is drawn from the records."""
    measurements, drifts, loads = (
        list(read_measurements(path)) for path in (RESULTS, precision.RESULTS, loading.RESULTS)
    )
    log = training.read_log()
    for path, sections in texts(measurements, drifts, loads, log).items():
        path.write_text(filled(path.read_text(), sections))
    RESULTS.with_suffix(".md").write_text(protein_table(measurements))
    training.write()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--write", action="store_true", help="measure nothing, write what the records say")
    options = parser.parse_args(arguments)
    if not options.write:
        record(RESULTS, measure())
        record(precision.RESULTS, precision.measure())
    write()


if __name__ == "__main__":
    main()
