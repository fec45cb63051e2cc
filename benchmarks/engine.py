"""The engine beside stock transformers: fidelity, memory, speed. Writes records to `results/engine.jsonl`.

python -m benchmarks.engine fidelity      # differences from stock, on random weights
python -m benchmarks.engine memory        # peak live bytes at ESMFold v1's dimensions, on fake tensors
python -m benchmarks.engine allocator     # the ledger against the CPU allocator's own events
python -m benchmarks.engine speed         # seconds per trunk pass at full width, ours and stock's by turns
python -m benchmarks.engine cuda          # peak allocated bytes and seconds on a GPU, ours and stock's
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

from lowmem_fold.bench.environment import describe_environment
from lowmem_fold.bench.fidelity import differences, ours, stock
from lowmem_fold.bench.models import esmfold_v1_config, random_model, random_record, small_config
from lowmem_fold.bench.peaks import FakeESMFold, pair_tensor_bytes
from lowmem_fold.bench.records import Measurement, append_measurement
from lowmem_fold.esmfold import engine
from lowmem_fold.esmfold.engine import FoldInput
from lowmem_fold.esmfold.tiles import Tiling
from lowmem_fold.folding import is_out_of_memory
from lowmem_fold.memory.allocator import allocator_peak_bytes
from lowmem_fold.memory.ledger import Ledger

RESULTS = Path(__file__).parent / "results" / "engine.jsonl"
STOCK = "transformers EsmForProteinFolding"


def measured(benchmark: str, requested: dict, resolved: dict, samples: dict, **status: Any) -> Measurement:
    return Measurement(benchmark, requested, resolved, describe_environment(), samples, **status)


def fidelity() -> Iterator[Measurement]:
    """Relative differences (max abs over max abs) from stock; float64 where rounding may flip a recycled bin."""
    cases = [("small", small_config(), n, r, "float32") for n in (1, 2, 7, 33, 129) for r in (0, 3)]
    cases += [("small", small_config(), 300, r, "float64") for r in (0, 4)]
    cases += [("full width, 1 layer, 1 block", esmfold_v1_config(1, 1), 65, 1, "float32")]
    for name, config, length, num_recycles, dtype in cases:
        model = random_model(config).to(getattr(torch, dtype))
        record = random_record(length, seed=length)
        found = differences(ours(model, record, num_recycles), stock(model, record, num_recycles))
        requested = {"model": name, "length": length, "num_recycles": num_recycles, "dtype": dtype}
        samples = {f"{quantity}_relative_difference": [value] for quantity, value in found.items()}
        yield measured("engine-fidelity", requested, {"weights": "random", "reference": STOCK}, samples)


def memory() -> Iterator[Measurement]:
    """Peak live bytes above the weights, from tokens to the output with PAE."""
    fake = FakeESMFold()
    resolved = {"weights": "fake, ESMFold v1's dimensions", "ruler": "ledger on fake CPU tensors"}
    for length in (256, 512, 1024, 2048, 4096):
        unit = {"pair_tensor_bytes": pair_tensor_bytes(length)}
        samples = {"peak_bytes": [fake.peak_bytes(length)]}
        requested = {"code": "lowmem_fold", "length": length, "chunk_size": None}
        yield measured("engine-memory", requested, {**resolved, **unit, **asdict(Tiling())}, samples)
        for chunk_size in (64, 128, None):
            samples = {"peak_bytes": [fake.stock_peak_bytes(length, chunk_size)]}
            requested = {"code": STOCK, "length": length, "chunk_size": chunk_size}
            yield measured("engine-memory", requested, {**resolved, **unit}, samples)


def allocator() -> Iterator[Measurement]:
    """What the CPU allocator gave out, beside what the ledger saw."""
    model = random_model(esmfold_v1_config(stem_layers=1, trunk_blocks=1))
    for length in (256, 512):
        for chunk_size in (None, 4, 16, 64):
            record, tiling = random_record(length), Tiling(chunk_size)
            fold = partial(engine.fold_batch, model, [record], num_recycles=1, tiling=tiling)
            with Ledger() as ledger:
                fold()
            samples = {"ledger_peak_bytes": [ledger.peak_bytes], "allocator_peak_bytes": [allocator_peak_bytes(fold)]}
            requested = {"length": length, "chunk_size": chunk_size}
            resolved = {"weights": "random, full width, 1 layer, 1 block"}
            yield measured("engine-allocator", requested, resolved, samples)


def speed(lengths: tuple[int, ...] = (128, 256, 384), pairs: int = 7, blocks: int = 2) -> Iterator[Measurement]:
    """Seconds of one trunk pass (relative positions, blocks, structure module), ours and stock's by turns."""
    model = random_model(esmfold_v1_config(stem_layers=1, trunk_blocks=blocks))
    model.trunk.set_chunk_size(64)
    resolved = {"weights": f"random, full width, {blocks} blocks", "reference": f"{STOCK}, chunk_size 64"}
    for length in lengths:
        record = random_record(length)
        state = engine.initial_sequence_states(model, [record])[0]
        seconds: dict[str, list[float]] = {"seconds": [], "stock_seconds": []}
        for turn in range(pairs + 1):
            taken = [_seconds(partial(run, model, record, state)) for run in (_stock_pass, _pass)]
            if turn:  # the first is the warm-up
                seconds["stock_seconds"].append(taken[0])
                seconds["seconds"].append(taken[1])
        yield measured("engine-speed", {"length": length, "pairs": pairs}, {**resolved, **asdict(Tiling())}, seconds)


@torch.no_grad()
def _stock_pass(model: Any, record: FoldInput, state: torch.Tensor) -> None:
    length, mask = len(record.aatype), torch.ones(1, len(record.aatype))
    pair = state.new_zeros(1, length, length, model.config.esmfold_config.trunk.pairwise_state_dim)
    model.trunk(state[None], pair, record.aatype[None], record.residue_index[None], mask, no_recycles=0)


@torch.no_grad()
def _pass(model: Any, record: FoldInput, state: torch.Tensor) -> None:
    engine.one_pass(model.trunk, [engine.Fold(record, state)], Tiling(), None)


def _seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def cuda(lengths: tuple[int, ...] = (256, 512, 1024, 2048, 4096), blocks: int = 4) -> Iterator[Measurement]:
    """Peak allocated bytes above the weights and seconds of a fold with one recycle; differences from stock."""
    model = random_model(esmfold_v1_config(stem_layers=2, trunk_blocks=blocks)).cuda()
    model.trunk.set_chunk_size(64)
    resolved = {"weights": f"random, full width, 2 layers, {blocks} blocks", "ruler": "torch.cuda.max_memory_allocated"}
    for length in lengths:
        record = random_record(length, device="cuda")
        for code, call in (("lowmem_fold", ours), (f"{STOCK}, chunk_size 64", stock)):
            requested = {"code": code, "length": length, "num_recycles": 1}
            unit = {"pair_tensor_bytes": pair_tensor_bytes(length)}
            yield _on_cuda(requested, {**resolved, **unit}, partial(call, model, record, 1))


def _on_cuda(requested: dict, resolved: dict, call: Callable[[], Any]) -> Measurement:
    samples: dict[str, list] = {"seconds": [], "peak_bytes": []}
    try:
        for turn in range(4):
            torch.cuda.empty_cache()
            before = torch.cuda.memory_allocated()
            torch.cuda.reset_peak_memory_stats()
            seconds = _seconds(lambda: (call(), torch.cuda.synchronize()))
            if turn:
                samples["seconds"].append(seconds)
                samples["peak_bytes"].append(torch.cuda.max_memory_allocated() - before)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return measured("engine-cuda", requested, resolved, samples, status="oom", reason=str(error).split("\n")[0])
    return measured("engine-cuda", requested, resolved, samples)


def report(measurement: Measurement) -> str:
    """One line for the terminal: what was asked, and the median of each sample."""
    medians = {name: statistics.median(values) for name, values in measurement.samples.items() if values}
    unit = measurement.resolved.get("pair_tensor_bytes")
    if unit and "peak_bytes" in medians:
        medians["pair_tensors"] = medians["peak_bytes"] / unit
    if "stock_seconds" in medians:
        turns = zip(measurement.samples["seconds"], measurement.samples["stock_seconds"], strict=True)
        medians["ratio"] = statistics.median(mine / theirs for mine, theirs in turns)
    return " ".join([measurement.benchmark, measurement.status, *_pairs(measurement.requested), *_pairs(medians)])


def _pairs(values: dict[str, Any]) -> list[str]:
    return [f"{key}={value:.3g}" if isinstance(value, float) else f"{key}={value}" for key, value in values.items()]


VERBS = {"fidelity": fidelity, "memory": memory, "allocator": allocator, "speed": speed, "cuda": cuda}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=VERBS, nargs="+")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file that records are appended to (%(default)s)")
    options = parser.parse_args()
    for what in options.what:
        for measurement in VERBS[what]():
            append_measurement(options.out, measurement)
            print(report(measurement), flush=True)


if __name__ == "__main__":
    main()
