"""Measure what each precision costs: sizes of the weights, and differences from fp32 on the 50 held-out chains.

The demo model folds them at every preset and pair-state option, each chain paired with itself in fp32; then with one
kind of layer at a time stored as int8, which says what costs what. `python -m benchmarks.demo` runs it and records it.
With it goes what the weights of ESMFold v1 take, from the records of `benchmarks.loading` on full-size random weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from lowmem_fold import Folder, load
from lowmem_fold.bench.accuracy import Outputs, against_experiment, compare, summary
from lowmem_fold.bench.environment import describe_environment
from lowmem_fold.bench.records import Measurement
from lowmem_fold.precision import PRESETS, parse_precision
from lowmem_fold.predictions.structures import Structure, read_pdb_folder
from lowmem_fold.quantization.registry import unavailable

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
    "language model, attention": "esm.encoder.layer.*.attention.*",
    "language model, feed-forward": "esm.encoder.layer.*.dense,exclude=*.attention.*",
    "language model, all": "esm.*",
    "trunk, input": "esm_s_mlp.*",
    "trunk, attention": "trunk.blocks.*.seq_attention.*",
    "trunk, feed-forward": "trunk.blocks.*.mlp_seq.*",
}


def measure() -> Iterator[Measurement]:
    """Measure all of it with the back ends that are installed; fp32 compared with the experiment comes first."""
    cpu, structures = torch.device("cpu"), read_pdb_folder(DATA)
    reference, found = folded("fp32", structures)
    yield found
    for precision in PRECISIONS:
        if not unavailable(parse_precision(precision).stem.weights, cpu):
            yield drift("precision-drift", structures, precision, reference)
    if not unavailable("int8", cpu):
        for glob in LAYERS.values():
            yield drift("precision-layers", structures, only(glob), reference)


def folded(
    precision: str, structures: Sequence[Structure], benchmark: str = "precision-reference"
) -> tuple[list[Outputs], Measurement]:
    """Fold every structure's sequence at a precision; the outputs, and how they compare with the experiment."""
    folder = load("demo", precision=precision, device="cpu")
    outputs = [_outputs(folder, structure.sequence) for structure in structures]
    resolved = {
        "model": {name: value for name, value in folder.describe().items() if name != "source"},
        "chains": [structure.id for structure in structures],
    }
    requested = {"model": "demo", "precision": precision, "num_recycles": NUM_RECYCLES}
    rows = [against_experiment(*pair) for pair in zip(outputs, structures, strict=True)]
    samples = {f"experiment_{name}": column for name, column in _columns(rows).items()}
    return outputs, Measurement(benchmark, requested, resolved, describe_environment(), samples)


def drift(benchmark: str, structures: Sequence[Structure], precision: str, reference: Sequence[Outputs]) -> Measurement:
    """The same, and how each chain compares with itself in fp32."""
    outputs, found = folded(precision, structures, benchmark)
    rows = [compare(*pair) for pair in zip(outputs, reference, strict=True)]
    return replace(found, samples={**_columns(rows), **found.samples})


def _outputs(folder: Folder, sequence: str) -> Outputs:
    prediction = folder.fold(sequence, num_recycles=NUM_RECYCLES, distogram=True)
    return {name: getattr(prediction, name) for name in ("positions", "plddt", "ptm", "pae", "distogram_logits")}


def _columns(rows: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """A value for each chain, of what all of them have: a fold without contacts has no precision of them."""
    names = [name for name in rows[0] if all(name in row for row in rows)]
    return {name: [round(row[name], 5) for row in rows] for name in names}


# --- tables


def text(measurements: Sequence[Measurement], loads: Sequence[Measurement]) -> str:
    """Return the table of sizes and differences, with what it was measured on."""
    drifts = [m for m in measurements if m.benchmark == "precision-drift"]
    environment = drifts[0].environment
    on = f"CPU: {environment['cpu']['model']}, torch {environment['versions']['torch']}"
    excess = [m.samples["peak_anonymous_bytes"][0] - m.samples["weight_bytes"][0] for m in loads]
    return "\n".join(
        [
            "Differences: the demo model on 50 chains that it never saw, each compared with its own fold in fp32:",
            f"median, worst ({on}); pLDDT runs from 0 to 100.",
            "Sizes: random weights in the layout of ESMFold v1; loading them never took more than "
            f"{max(excess) / 2**30:.2f} GiB above the result",
            "(`python -m benchmarks.stand_in FOLDER`, `python -m benchmarks.loading FOLDER`, "
            "`benchmarks/results/loading.jsonl`).",
            "",
            table(drifts, loads),
        ]
    )


def more_text(measurements: Sequence[Measurement]) -> str:
    """Return which layers the difference of int8 comes from, and every precision compared with the experiment."""
    return "\n".join(
        [
            "Which layers the difference comes from, with one kind at a time stored as int8:",
            "",
            layers_table(measurements),
            "",
            "Each compared with the experiment: median, and its 95 % confidence interval (bootstrap over the chains).",
            "Contacts: CB (CA where there is none) less than 8 Å apart, 6 or more residues apart in sequence; F1 is",
            "the harmonic mean of precision and recall (`lowmem_fold/metrics/contacts.py`).",
            "",
            experiment_table(measurements),
        ]
    )


def table(drifts: Sequence[Measurement], loads: Sequence[Measurement]) -> str:
    """Return a line for each precision: what ESMFold v1's weights take, and the median and worst difference."""
    weights = {m.requested["precision"]: m.resolved["weights"] for m in loads}
    lines = [
        "| precision | weights, GiB: all | language model | sequence track | rest | bits per weight "
        "| CA-RMSD, Å | TM-score | lDDT-CA | pLDDT, points |",
        "|---|---|---|---|---|---|---|---|---|---|",
        f"| fp32 | {_sizes(weights['fp32'])} | 0, 0 | 1, 1 | 1, 1 | 0, 0 |",
    ]
    for precision, m in {m.requested["precision"]: m for m in drifts}.items():
        of_weights = str(replace(parse_precision(precision), pair="fp32", operand=None))
        lines.append(f"| {precision} | {_sizes(weights[of_weights])} | {_drifts(m.samples)} |")
    return "\n".join(lines)


def _interval(name: str, values: Sequence[float] | None) -> str:
    if values is None:
        return "-"
    median, _, (low, high) = summary(name, values)
    return f"{median:.3f} ({low:.3f} to {high:.3f})"


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
    """Return a line for each kind of layer that alone is stored as int8."""
    names = {only(glob): name for name, glob in LAYERS.items()}
    lines = ["| stored as int8 | CA-RMSD, Å | TM-score | lDDT-CA | pLDDT, points |", "|---|---|---|---|---|"]
    lines += [
        f"| {names[m.requested['precision']]} | {_drifts(m.samples)} |"
        for m in measurements
        if m.benchmark == "precision-layers"
    ]
    return "\n".join(lines)


def only(glob: str) -> str:
    return f"int8,include={glob}"


def experiment_table(measurements: Sequence[Measurement]) -> str:
    """Return a line for fp32 and each precision: how near it comes to the known structures."""
    titles = {
        "tm_score": "TM-score",
        "lddt_ca": "lDDT-CA",
        "gdt_ts": "GDT-TS",
        "contact_precision": "contacts: precision",
        "contact_recall": "recall",
        "contact_f1": "F1",
    }
    lines = ["| precision | " + " | ".join(titles.values()) + " |", "|---" * (len(titles) + 1) + "|"]
    for m in measurements:
        if m.benchmark in ("precision-reference", "precision-drift"):
            cells = [_interval(name, m.samples.get(f"experiment_{name}")) for name in titles]
            lines.append(f"| {m.requested['precision']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
