"""Peak memory and seconds of each placement, and what streaming costs. Writes records to `results/placements.jsonl`.

python -m benchmarks.placements FOLDER --device cuda      # FOLDER: the stand-in of `benchmarks.stand_in`

Each placement is loaded once, in a process of its own, and folds records of several lengths: first the stem alone, then
the trunk (`seconds` of each; the last record counts repeats). `accelerate` is stock transformers with accelerate's
`cpu_offload`, whose hooks bring each module's weights as it is called. With `--memory` the budget is enforced while
everything runs: what does not fit fails, and is recorded as `oom`.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch

from lowmem_fold import load
from lowmem_fold.bench.environment import describe_environment
from lowmem_fold.bench.fidelity import stock
from lowmem_fold.bench.models import random_record
from lowmem_fold.bench.records import Measurement, append_measurement
from lowmem_fold.memory.budget import parse_memory
from lowmem_fold.memory.exhaustion import is_out_of_memory
from lowmem_fold.memory.limit import enforced
from lowmem_fold.memory.meters import peak_meter
from lowmem_fold.residency import PLACEMENTS

RESULTS = Path(__file__).parent / "results" / "placements.jsonl"
WAYS = (*PLACEMENTS, "accelerate")
RESIDUES = "ACDEFGHIKLMNPQRSTVWY"
NUM_RECYCLES = 1


def measure(options: argparse.Namespace, way: str) -> Iterator[Measurement]:
    """One way in this process, a record a length."""
    budget: AbstractContextManager = nullcontext()
    if options.memory:
        budget = enforced(options.device, parse_memory(options.memory))
    asked = {
        "model": Path(options.model).name,
        "way": way,
        "precision": options.precision,
        "num_recycles": NUM_RECYCLES,
        "device": options.device,
        "memory": options.memory,
    }
    with budget:
        try:
            folds, resolved = _accelerate(options) if way == "accelerate" else _placed(options, way)
        except Exception as error:
            yield from (_short(error, "loading", {**asked, "length": length}, {}) for length in options.lengths)
            return
        for length in options.lengths:
            requested = {**asked, "length": length}
            try:
                phases = folds(length)
            except Exception as error:
                yield _short(error, "stem", requested, resolved)
                continue
            yield _folded(requested, resolved, phases, options)


def _short(error: Exception, what: str, requested: dict[str, Any], resolved: dict[str, Any]) -> Measurement:
    """The record of an error that is want of memory; another is raised again."""
    if not is_out_of_memory(error):
        raise error
    reason = f"{what}: {str(error).splitlines()[0]}"
    return Measurement("placements", requested, resolved, describe_environment(), {}, status="oom", reason=reason)


Phases = dict[str, Callable[[], Any]]


def _placed(options: argparse.Namespace, placement: str) -> tuple[Callable[[int], Phases], dict[str, Any]]:
    folder = load(options.model, precision=options.precision, device=options.device, placement=placement)

    def phases(length: int) -> Phases:
        sequence = (RESIDUES * length)[:length]
        states = folder.stem_states([sequence])
        return {
            "stem": lambda: folder.stem_states([sequence]),
            "trunk": lambda: folder.fold(sequence, states=states[0], num_recycles=NUM_RECYCLES, pae=False),
        }

    return phases, folder.describe()


def _accelerate(options: argparse.Namespace) -> tuple[Callable[[int], Phases], dict[str, Any]]:
    from accelerate import cpu_offload
    from transformers import EsmForProteinFolding

    model = EsmForProteinFolding.from_pretrained(options.model, dtype=torch.float32).eval()
    if options.precision == "fp16":
        model.esm = model.esm.half()
    model.trunk.set_chunk_size(64)
    cpu_offload(model, execution_device=torch.device(options.device))

    def phases(length: int) -> Phases:
        record = random_record(length, device=options.device)
        return {"fold": lambda: stock(model, record, NUM_RECYCLES)}

    return phases, {"stock": "transformers EsmForProteinFolding, chunk_size 64", "precision": options.precision}


def _folded(
    requested: dict[str, Any], resolved: dict[str, Any], phases: Phases, options: argparse.Namespace
) -> Measurement:
    samples: dict[str, list] = {f"{name}_{unit}": [] for name in phases for unit in ("seconds", "peak_bytes")}
    environment = describe_environment()
    for turn in range(options.repeats + 1):
        for name, call in phases.items():
            meter = peak_meter(options.device)
            try:
                with meter:
                    seconds = _seconds(call, options.device)
            except Exception as error:
                return _short(error, name, requested, resolved)
            if turn:  # the first is the warm-up
                samples[f"{name}_seconds"].append(round(seconds, 4))
                samples[f"{name}_peak_bytes"].append(int(meter.peak_bytes or 0))
    return Measurement("placements", requested, {**resolved, "ruler": meter.name}, environment, samples)


def _seconds(call: Callable[[], Any], device: str) -> float:
    start = time.perf_counter()
    result = call()
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    del result
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a folder, such as the stand-in")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="(%(default)s)")
    parser.add_argument("--device", default="cpu", help="(%(default)s)")
    parser.add_argument("--precision", default="fp16", help="fp32 or fp16 where accelerate is compared (%(default)s)")
    parser.add_argument("--lengths", nargs="+", type=int, default=[64, 256, 512, 1024, 2048], help="(%(default)s)")
    parser.add_argument("--memory", help="a budget to enforce on a CUDA device, such as 8GB")
    parser.add_argument("--repeats", type=int, default=3, help="after one that does not count (%(default)s)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="(%(default)s)")
    options = parser.parse_args()
    if len(options.ways) > 1:
        for way in options.ways:  # a way that cannot be loaded at all does not keep the others from their turn
            subprocess.run([sys.executable, "-m", "benchmarks.placements", *sys.argv[1:], "--ways", way], check=False)
        return
    for measurement in measure(options, options.ways[0]):
        append_measurement(options.out, measurement)
        medians = {name: statistics.median(values) for name, values in measurement.samples.items() if values}
        asked = measurement.requested
        print(asked["way"], asked["length"], measurement.status, measurement.reason or "", medians, flush=True)


if __name__ == "__main__":
    main()
