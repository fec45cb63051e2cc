"""What each precision costs: bits and bytes of the weights, and the drift from fp32 on the 50 held-out chains.

The demo model folds them at every preset and pair-state option, each chain paired with itself in fp32; then with one
kind of layer at a time stored as int8, which says what costs what. `python -m benchmarks.demo` runs it and records it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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


def text(measurements: Sequence[Measurement]) -> str:
    """Both tables, with what they were measured on."""
    drifts = [m for m in measurements if m.benchmark == "precision-drift"]
    environment = drifts[0].environment
    head = (
        f"Measured with the demo model on 50 chains that it never saw, each beside itself in fp32 (CPU: "
        f"{environment['cpu']['model']}, torch {environment['versions']['torch']}); pLDDT runs from 0 to 100."
    )
    tables = [table(measurements)]
    if any(m.benchmark == "precision-layers" for m in measurements):
        tables += ["Which layers cost it (int8, one kind at a time):", layers_table(measurements)]
    return "\n\n".join([head, *tables])


def table(measurements: Sequence[Measurement]) -> str:
    """A line for each precision: what it stores, and the median and worst drift."""
    lines = [
        "| precision | bits per weight | weights, MB: stem / sequence track / rest | CA-RMSD, A: median, worst "
        "| TM-score | lDDT-CA | pLDDT, points |",
        "|---|---|---|---|---|---|---|",
    ]
    for precision, m in {m.requested["precision"]: m for m in measurements if m.benchmark == "precision-drift"}.items():
        weights, samples = m.resolved["model"]["weights"], m.samples
        rest = weights["pair-modules"]["bytes"] + weights["structure"]["bytes"]
        sizes = " / ".join(f"{size / 1e6:.1f}" for size in (weights["stem"]["bytes"], weights["trunk"]["bytes"], rest))
        lines.append(
            f"| {precision} | {weights['total']['bits_per_weight']:.2f} | {sizes} | "
            f"{_spread(samples['ca_rmsd_angstrom'], max)} | {_spread(samples['tm_score'], min)} | "
            f"{_spread(samples['lddt_ca'], min)} | {_spread(np.abs(samples['plddt_difference']), max)} |"
        )
    return "\n".join(lines)


def _spread(values: Sequence[float] | np.ndarray, worst: type[max] | type[min]) -> str:
    return f"{np.median(values):.3f}, {worst(values):.3f}"


def layers_table(measurements: Sequence[Measurement]) -> str:
    """A line for each kind of layer that alone is stored as int8."""
    lines = ["| stored as int8 | CA-RMSD, A: median, worst | lDDT-CA | pLDDT, points |", "|---|---|---|---|"]
    names = {_only(glob): name for name, glob in LAYERS.items()}
    for m in measurements:
        if m.benchmark == "precision-layers":
            samples = m.samples
            lines.append(
                f"| {names[m.requested['precision']]} | {_spread(samples['ca_rmsd_angstrom'], max)} | "
                f"{_spread(samples['lddt_ca'], min)} | {_spread(np.abs(samples['plddt_difference']), max)} |"
            )
    return "\n".join(lines)


def _only(glob: str) -> str:
    return f"int8,include={glob}"
