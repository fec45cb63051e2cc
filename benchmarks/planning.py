"""What the planner says of ESMFold v1, and how near that is: `python -m benchmarks.planning`.

Works out the longest protein for each card, and the peaks that `plots.memory` draws; measures with the allocator of a
CPU what was planned for it (`results/planning.jsonl`). From these records it writes a section of docs/memory.md
and the picture. With `--write` it only writes. Neither weights nor a GPU are needed.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lowmem_fold.bench.environment import describe_environment
from lowmem_fold.bench.records import Measurement, append_measurement, read_measurements
from lowmem_fold.esmfold.family import FAMILY
from lowmem_fold.families.registry import DEFAULT_MODEL
from lowmem_fold.memory import reserve
from lowmem_fold.memory.limit import CUDA_CONTEXT_BYTES
from lowmem_fold.planning import cards, plan
from plots import memory

from .pages import filled

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "memory.md"
RESULTS = Path(__file__).parent / "results" / "planning.jsonl"
STOCK = "transformers EsmForProteinFolding"
STOCK_ON_A_T4 = ("fp16", "chunk_size 64")
DRAWN = (128, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096)
MEASURED = (("fp32", 64), ("fp32", 192), ("int8", 192), ("bnb-nf4", 192), ("pair=fp16", 192))
RESERVE = {
    "cuda_context_bytes": CUDA_CONTEXT_BYTES,
    "cuda_workspace_bytes": reserve.CUDA_WORKSPACE_BYTES,
    "cuda_segment_bytes": reserve.CUDA_SEGMENT_BYTES,
    "cuda_rounding": reserve.CUDA_ROUNDING,
}


def measure() -> Iterator[Measurement]:
    yield from longest()
    yield from peaks()
    yield from accuracy()


def _measured(benchmark: str, requested: dict, resolved: dict, samples: dict) -> Measurement:
    return Measurement(benchmark, requested, resolved, describe_environment(), samples)


def longest() -> Iterator[Measurement]:
    """Residues by card, each with the reserve of CUDA."""
    for row in cards.longest_proteins():
        code = STOCK if row.code == "transformers" else row.code
        requested = {"code": code, "model": DEFAULT_MODEL, "precision": row.precision, "placement": row.placement}
        samples = {"card_bytes": [size * 10**9 for size in row.residues], "residues": list(row.residues.values())}
        yield _measured("planning-cards", requested, {"device": "cuda, planned", **RESERVE}, samples)


def peaks() -> Iterator[Measurement]:
    """Weights and activations with the stem in fp16, as published; without the reserve."""
    planner = plan.Planner(None, DEFAULT_MODEL, "fp16", "cuda", None, None, 3)
    for length in DRAWN:
        found = planner.plans(length, presets=False).plans
        for each in found:
            yield _peak("lowmem_fold", each.placement, length, each.peak_bytes, {"phase": each.phase})
        weights = next(each.weight_bytes for each in found if each.placement == "resident")
        for name, chunk_size in cards.STOCK.items():
            yield _peak(STOCK, name, length, weights + round(cards.stock_bytes(FAMILY, chunk_size)(length)), {})


def _peak(code: str, placement: str, length: int, peak_bytes: int, resolved: dict[str, Any]) -> Measurement:
    requested = {"code": code, "precision": "fp16", "placement": placement, "length": length}
    return _measured("planning-peaks", requested, {"device": "cuda, planned", **resolved}, {"peak_bytes": [peak_bytes]})


def accuracy() -> Iterator[Measurement]:
    """Planned and allocated bytes of ESMFold v1 in its widths, with two layers and two blocks, on a CPU."""
    import lowmem_fold
    from lowmem_fold.bench.models import random_model
    from lowmem_fold.esmfold.published import esmfold_v1_config
    from lowmem_fold.memory.allocator import allocator_peak_bytes

    with tempfile.TemporaryDirectory() as folder:
        random_model(esmfold_v1_config(2, 2)).save_pretrained(folder)
        for precision, length in MEASURED:
            options = {"precision": precision, "device": "cpu"}
            (planned, *_) = lowmem_fold.plan(length, "1TB", model=folder, num_recycles=1, **options).plans
            model = lowmem_fold.load(folder, **options)
            model.fold("A" * 16, num_recycles=0)  # makes tables that stay
            weights = sum(tensor.nbytes for tensor in (*model.model.parameters(), *model.model.buffers()))
            allocated = weights + allocator_peak_bytes(lambda: model.fold("A" * length, num_recycles=1))  # noqa: B023
            requested = {"precision": precision, "length": length, "placement": "resident", "num_recycles": 1}
            resolved = {"weights": "random, 2 layers and 2 blocks of ESMFold v1", "weight_bytes": weights}
            samples = {"planned_bytes": [planned.peak_bytes], "allocated_bytes": [allocated]}
            yield _measured("planning-accuracy", requested, resolved, samples)


def record(measurements: Iterable[Measurement]) -> None:
    """Replace the results, once all is measured."""
    temporary = RESULTS.with_name(f".{RESULTS.name}.{os.getpid()}")
    for measurement in measurements:
        append_measurement(temporary, measurement)
        print(measurement.benchmark, dict(measurement.requested), dict(measurement.samples), flush=True)
    os.replace(temporary, RESULTS)


# --- what the records say, in words and tables


def text(measurements: Sequence[Measurement]) -> str:
    """Return what docs/memory.md says of cards."""
    found = [m for m in measurements if m.benchmark == "planning-cards"]
    sizes = [size // 10**9 for size in found[0].samples["card_bytes"]]
    lines = [
        "| longest protein, in residues, on a card of | " + " | ".join(f"{size} GB" for size in sizes) + " |",
        "|---" * (len(sizes) + 1) + "|",
        *(_row(precision, found) for precision in cards.PRECISIONS),
        *(_stock_row(measurement) for measurement in found if measurement.requested["code"] == STOCK),
    ]
    errors = [_error(m) for m in measurements if m.benchmark == "planning-accuracy"]
    on_a_t4 = next(
        m.samples["residues"][sizes.index(16)]
        for m in found
        if m.requested["code"] == STOCK and (m.requested["precision"], m.requested["placement"]) == STOCK_ON_A_T4
    )
    beside = (
        f"{CUDA_CONTEXT_BYTES / 2**30:.1f} GiB for CUDA's context, {reserve.CUDA_WORKSPACE_BYTES // 2**20} MiB of"
        f" workspace,\n{reserve.CUDA_SEGMENT_BYTES // 2**20} MiB and {reserve.CUDA_ROUNDING:.1%} of the peak for"
        " torch's allocator"
    )
    notes = [
        "Two numbers: with all weights on the card, and with streamed weights; `-` means that no length fits.",
        "Planned without allocating memory, not measured on such cards: the peak of all tensors must fit, and, by",
        f"assumption, {beside}.",
        "Stock transformers is planned in the same way, with the same reserve: users of a free 16 GB T4 report that",
        f"it ends near 900 residues, and the plan says {on_a_t4}. On a CPU the planned peak of the activations of",
        f"resident models is within {max(errors):.1%} of what the allocator reports ({len(errors)} configurations).",
    ]
    return "\n".join([*lines, "", *notes])


def _error(measurement: Measurement) -> float:
    """Relative difference of planned from allocated bytes, weights left out."""
    weights = measurement.resolved["weight_bytes"]
    allocated = measurement.samples["allocated_bytes"][0] - weights
    return float(abs(measurement.samples["planned_bytes"][0] - weights - allocated) / allocated)


def _row(precision: str, found: Sequence[Measurement]) -> str:
    by_placement = {
        m.requested["placement"]: m.samples["residues"]
        for m in found
        if m.requested["code"] == "lowmem_fold" and m.requested["precision"] == precision
    }
    pairs = zip(by_placement["resident"], by_placement["streamed"], strict=True)
    cells = " | ".join(f"{_residues(resident)} / {_residues(streamed)}" for resident, streamed in pairs)
    return f"| {precision} | {cells} |"


def _stock_row(measurement: Measurement) -> str:
    asked = measurement.requested
    cells = " | ".join(map(_residues, measurement.samples["residues"]))
    return f"| stock, {asked['precision']}, {asked['placement']} | {cells} |"


def _residues(count: float) -> str:
    return f"{count:,}" if count else "-"


def write() -> None:
    """Write all that is drawn from the records."""
    measurements = read_measurements(RESULTS)
    PAGE.write_text(filled(PAGE.read_text(), {"cards": text(measurements)}))
    memory.write()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--write", action="store_true", help="work nothing out, write what the records say")
    if not parser.parse_args(arguments).write:
        record(measure())
    write()


if __name__ == "__main__":
    main()
