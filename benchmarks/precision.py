"""What each precision costs: bits and bytes of the weights, and the drift from fp32 on the 50 held-out chains.

The demo model folds them at every preset and pair-state option, each chain paired with itself in fp32; then with one
kind of layer at a time stored as int8, which says what costs what. `python -m benchmarks.demo` runs it and records it.
Beside that stands what the weights of ESMFold v1 take, from the records of `benchmarks.loading` on the stand-in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from lowmem_fold import load
from lowmem_fold.bench.environment import describe_environment
from lowmem_fold.bench.records import Measurement
from lowmem_fold.bench.structures import Structure, read_pdb_folder
from lowmem_fold.metrics import lddt, rmsd, tm_score
from lowmem_fold.precision import PRESETS, parse_precision
from lowmem_fold.prediction import Prediction
from lowmem_fold.quantization.registry import unavailable
from lowmem_fold.residues import ATOM_ORDER

DATA = Path(__file__).parent / "data" / "ts50"
RESULTS = Path(__file__).parent / "results" / "precision.jsonl"
NUM_RECYCLES = 3
PRECISIONS = (
    *(name for name in PRESETS if name != "fp32"),
    "operand=bf16",
    "pair=bf16",
    "pair=fp16",
    "int8,pair=bf16",
)
LAYERS = {
    "stem, attention": "esm.encoder.layer.*.attention.*",
    "stem, feed-forward": "esm.encoder.layer.*.dense,exclude=*.attention.*",
    "stem, all": "esm.*",
    "trunk, entry": "esm_s_mlp.*",
    "trunk, attention": "trunk.blocks.*.seq_attention.*",
    "trunk, feed-forward": "trunk.blocks.*.mlp_seq.*",
}
_CA = ATOM_ORDER["CA"]


def measure() -> Iterator[Measurement]:
    """All of it, with the back ends that are installed."""
    cpu, structures = torch.device("cpu"), read_pdb_folder(DATA)
    reference = _folded("fp32", structures)[0]
    for precision in PRECISIONS:
        if not unavailable(parse_precision(precision).stem.weights, cpu):
            yield drift("precision-drift", structures, precision, reference)
    if not unavailable("int8", cpu):
        for glob in LAYERS.values():
            yield drift("precision-layers", structures, _only(glob), reference)


def drift(
    benchmark: str, structures: Sequence[Structure], precision: str, reference: Sequence[Prediction]
) -> Measurement:
    """Fold every structure's sequence at a precision and compare with the predictions in fp32."""
    predictions, about = _folded(precision, structures)
    resolved = {
        "model": {name: value for name, value in about.items() if name != "source"},
        "chains": [structure.id for structure in structures],
    }
    requested = {"model": "demo", "precision": precision, "num_recycles": NUM_RECYCLES}
    samples = _compared(predictions, reference, structures)
    return Measurement(benchmark, requested, resolved, describe_environment(), samples)


def _folded(precision: str, structures: Sequence[Structure]) -> tuple[list[Prediction], dict]:
    folder = load("demo", precision=precision, device="cpu")
    return [folder.fold(s.sequence, num_recycles=NUM_RECYCLES, pae=True) for s in structures], folder.describe()


def _compared(
    predictions: Sequence[Prediction], references: Sequence[Prediction], structures: Sequence[Structure]
) -> dict[str, list[float]]:
    """Per protein, against the fp32 prediction; and the TM-score and lDDT-CA against experiment of both."""
    samples: dict[str, list[float]] = {}
    for prediction, reference, structure in zip(predictions, references, structures, strict=True):
        ca, before, known = prediction.positions[:, _CA], reference.positions[:, _CA], structure.ca
        values = {
            "ca_rmsd_angstrom": rmsd(ca, before),
            "tm_score": tm_score(ca, before),
            "lddt_ca": _lddt_ca(ca, before),
            "plddt_difference": prediction.mean_plddt - reference.mean_plddt,
            "pae_difference_angstrom": float(np.abs(prediction.pae - reference.pae).mean()),
            "experiment_tm_score": tm_score(ca, known),
            "experiment_lddt_ca": _lddt_ca(ca, known),
            "fp32_experiment_tm_score": tm_score(before, known),
            "fp32_experiment_lddt_ca": _lddt_ca(before, known),
        }
        for name, value in values.items():
            samples.setdefault(name, []).append(round(float(value), 5))
    return samples


def _lddt_ca(ca: np.ndarray, reference: np.ndarray) -> float:
    return lddt(ca[:, None], reference[:, None], np.ones((len(ca), 1), dtype=bool))


# --- tables


def text(measurements: Sequence[Measurement], loads: Sequence[Measurement]) -> str:
    """Both tables, with what they were measured on."""
    drifts = [m for m in measurements if m.benchmark == "precision-drift"]
    environment = drifts[0].environment
    on = f"CPU: {environment['cpu']['model']}, torch {environment['versions']['torch']}"
    excess = [m.samples["peak_anonymous_bytes"][0] - m.samples["weight_bytes"][0] for m in loads]
    return "\n".join(
        [
            "Drift: the demo model on 50 chains that it never saw, each beside itself in fp32: median, worst",
            f"({on}); pLDDT runs from 0 to 100.",
            "Bytes: random weights in the published layout of ESMFold v1; loading them never held more than "
            f"{max(excess) / 2**30:.2f} GiB above the result",
            "(`python -m benchmarks.stand_in FOLDER`, `python -m benchmarks.loading FOLDER`, "
            "`benchmarks/results/loading.jsonl`).",
            "",
            table(drifts, loads),
            "",
            "Which layers cost it, one kind at a time stored as int8:",
            "",
            layers_table(measurements),
        ]
    )


def table(drifts: Sequence[Measurement], loads: Sequence[Measurement]) -> str:
    """A line for each precision: what ESMFold v1's weights take, and the median and worst drift."""
    weights = {m.requested["precision"]: m.resolved["weights"] for m in loads}
    lines = [
        "| precision | weights, GiB: all | stem | sequence track | rest | bits per weight "
        "| CA-RMSD, A | TM-score | lDDT-CA | pLDDT, points |",
        "|---|---|---|---|---|---|---|---|---|---|",
        f"| fp32 | {_sizes(weights['fp32'])} | 0, 0 | 1, 1 | 1, 1 | 0, 0 |",
    ]
    for precision, m in {m.requested["precision"]: m for m in drifts}.items():
        of_weights = str(replace(parse_precision(precision), pair="fp32", operand=None))
        lines.append(f"| {precision} | {_sizes(weights[of_weights])} | {_drifts(m.samples)} |")
    return "\n".join(lines)


def _sizes(weights: Mapping[str, Mapping[str, float]]) -> str:
    total, stem, track = (weights[name]["bytes"] for name in ("total", "stem", "trunk"))
    sizes = " | ".join(f"{size / 2**30:.2f}" for size in (total, stem, track, total - stem - track))
    return f"{sizes} | {weights['total']['bits_per_weight']:.2f}"


def _drifts(samples: Mapping[str, Sequence[float]]) -> str:
    return (
        f"{spread(samples['ca_rmsd_angstrom'], max)} | {spread(samples['tm_score'], min)} | "
        f"{spread(samples['lddt_ca'], min)} | {spread(np.abs(samples['plddt_difference']), max)}"
    )


def spread(values: Sequence[float] | np.ndarray, worst: type[max] | type[min]) -> str:
    return f"{np.median(values):.3f}, {worst(values):.3f}"


def layers_table(measurements: Sequence[Measurement]) -> str:
    """A line for each kind of layer that alone is stored as int8."""
    names = {_only(glob): name for name, glob in LAYERS.items()}
    lines = ["| stored as int8 | CA-RMSD, A | TM-score | lDDT-CA | pLDDT, points |", "|---|---|---|---|---|"]
    lines += [
        f"| {names[m.requested['precision']]} | {_drifts(m.samples)} |"
        for m in measurements
        if m.benchmark == "precision-layers"
    ]
    return "\n".join(lines)


def _only(glob: str) -> str:
    return f"int8,include={glob}"
