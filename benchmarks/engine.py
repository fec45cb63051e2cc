"""The engine beside stock transformers: fidelity, memory, speed. Writes records to `results/engine.jsonl`.

python -m benchmarks.engine fidelity      # differences from stock, on random weights
python -m benchmarks.engine memory        # peak live bytes at ESMFold v1's dimensions, on fake tensors
python -m benchmarks.engine half          # the same with pair state and triangle operand in half precision
python -m benchmarks.engine allocator     # the ledger against the CPU allocator's own events
python -m benchmarks.engine speed         # seconds per trunk pass at full width, ours and stock's by turns
python -m benchmarks.engine fold          # peak bytes and seconds of a fold on a device, ours and stock's
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch

from lowmem_fold.bench.environment import describe_environment
from lowmem_fold.bench.fidelity import differences, ours, stock
from lowmem_fold.bench.models import random_model, small_config
from lowmem_fold.bench.records import Measurement, append_measurement
from lowmem_fold.esmfold import engine
from lowmem_fold.esmfold.engine import FoldInput
from lowmem_fold.esmfold.peaks import FakeESMFold, pair_tensor_bytes
from lowmem_fold.esmfold.published import esmfold_v1_config, random_record
from lowmem_fold.esmfold.structure import predict_structure
from lowmem_fold.esmfold.trunk import initial_pair_state, run_block
from lowmem_fold.memory.allocator import allocator_peak_bytes
from lowmem_fold.memory.exhaustion import is_out_of_memory
from lowmem_fold.memory.ledger import Ledger
from lowmem_fold.memory.meters import peak_meter
from lowmem_fold.pair.storage import PairStorage
from lowmem_fold.pair.tiles import Tiling
from lowmem_fold.quantization.formats import DTYPES

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


def half() -> Iterator[Measurement]:
    """The same with the operand of triangle multiplication, or the pair state too, in half precision."""
    fake = FakeESMFold()
    for length in (1024, 2048, 4096):
        for pair, operand in (("fp32", "bf16"), ("bf16", "bf16"), ("fp16", "fp16")):
            storage = PairStorage(DTYPES[pair], DTYPES[operand])
            requested = {"code": "lowmem_fold", "length": length, "pair": pair, "operand": operand}
            resolved = {"weights": "fake, ESMFold v1's dimensions", "pair_tensor_bytes": pair_tensor_bytes(length)}
            samples = {"peak_bytes": [fake.peak_bytes(length, storage=storage)]}
            yield measured("engine-memory-half", requested, resolved, samples)


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


def speed(lengths: tuple[int, ...] = (128, 256, 384), pairs: int = 7) -> Iterator[Measurement]:
    """Seconds of a trunk block and of the structure module, ours and stock's by turns: a pass is 48 and one of them."""
    model = random_model(esmfold_v1_config(stem_layers=1, trunk_blocks=1))
    resolved = {"weights": "random, full width", "reference": f"{STOCK}, chunk_size 64", **asdict(Tiling())}
    for length in lengths:
        record = random_record(length)
        (s,) = engine.initial_sequence_states(model, [record])
        z = initial_pair_state(model.trunk, record.residue_index, Tiling())
        seconds: dict[str, list[float]] = {f"{code}{part}_seconds": [] for code, part in product(CODES, PARTS)}
        for turn, part, code in product(range(pairs + 1), PARTS, CODES):
            taken = _seconds(partial(PARTS_OF[code, part], model.trunk, record, s, z))
            if turn:  # the first is the warm-up
                seconds[f"{code}{part}_seconds"].append(taken)
        yield measured("engine-speed", {"length": length, "pairs": pairs}, resolved, seconds)


CODES, PARTS = ("stock_", ""), ("block", "structure")


@torch.no_grad()
def _stock_block(trunk: Any, record: FoldInput, s: torch.Tensor, z: torch.Tensor) -> None:
    trunk.blocks[0](s[None], z[None], mask=torch.ones(1, len(s)), chunk_size=64)


@torch.no_grad()
def _block(trunk: Any, record: FoldInput, s: torch.Tensor, z: torch.Tensor) -> None:
    run_block(trunk.blocks[0], s, [z.clone()], Tiling())  # the copy, which a fold does not make, counts against us


@torch.no_grad()
def _stock_structure(trunk: Any, record: FoldInput, s: torch.Tensor, z: torch.Tensor) -> None:
    states = {"single": trunk.trunk2sm_s(s[None]), "pair": trunk.trunk2sm_z(z[None])}
    trunk.structure_module(states, record.aatype[None], torch.ones(1, len(s)))


@torch.no_grad()
def _structure(trunk: Any, record: FoldInput, s: torch.Tensor, z: torch.Tensor) -> None:
    predict_structure(trunk, s, z, record.aatype, Tiling())


PARTS_OF = {
    ("stock_", "block"): _stock_block,
    ("", "block"): _block,
    ("stock_", "structure"): _stock_structure,
    ("", "structure"): _structure,
}


def _seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    result = call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    del result
    return time.perf_counter() - start


def fold(device: str, lengths: tuple[int, ...] = (256, 512, 1024, 2048, 4096)) -> Iterator[Measurement]:
    """Peak bytes above the weights and seconds of a fold with one recycle on a device, ours and stock's by turns."""
    model = random_model(esmfold_v1_config(stem_layers=2, trunk_blocks=4)).to(device)
    model.trunk.set_chunk_size(64)
    for length in lengths if device != "cpu" else lengths[:1]:
        record = random_record(length, device=device)
        mine = partial(engine.fold_batch, model, [record], num_recycles=1)
        for code, call in (("lowmem_fold", mine), (f"{STOCK}, chunk_size 64", partial(stock, model, record, 1))):
            requested = {"code": code, "length": length, "num_recycles": 1, "device": device}
            yield _folded(requested, call)


def _folded(requested: dict[str, Any], call: Callable[[], Any], repeats: int = 3) -> Measurement:
    resolved = {"weights": "random, full width, 2 layers, 4 blocks"}
    resolved |= {"pair_tensor_bytes": pair_tensor_bytes(requested["length"])}
    samples: dict[str, list] = {"seconds": [], "peak_bytes": []}
    for turn in range(repeats + 1):
        meter = peak_meter(requested["device"])
        try:
            with meter:
                seconds = _seconds(call)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            return measured("engine-fold", requested, resolved, samples, status="oom", reason=str(error).split("\n")[0])
        if turn:  # the first is the warm-up
            samples["seconds"].append(seconds)
            samples["peak_bytes"].append((meter.peak_bytes or 0) - (meter.start_bytes or 0))
    return measured("engine-fold", requested, {**resolved, "ruler": meter.name}, samples)


def pass_ratio(measurement: Measurement, blocks: int = 48) -> float:
    """Median over the turns of our seconds per trunk pass over stock's, from a record of `speed`."""
    turns = zip(
        *(measurement.samples[f"{code}{part}_seconds"] for code in ("", "stock_") for part in PARTS), strict=True
    )
    return statistics.median((blocks * a + b) / (blocks * c + d) for a, b, c, d in turns)


def report(measurement: Measurement) -> str:
    """One line for the terminal: what was asked, and the median of each sample."""
    medians = {name: statistics.median(values) for name, values in measurement.samples.items() if values}
    unit = measurement.resolved.get("pair_tensor_bytes")
    if unit and "peak_bytes" in medians:
        medians["pair_tensors"] = medians["peak_bytes"] / unit
    if measurement.benchmark == "engine-speed":
        medians["pass_ratio"] = pass_ratio(measurement)
    return " ".join([measurement.benchmark, measurement.status, *_pairs(measurement.requested), *_pairs(medians)])


def _pairs(values: dict[str, Any]) -> list[str]:
    return [f"{key}={value:.3g}" if isinstance(value, float) else f"{key}={value}" for key, value in values.items()]


VERBS: dict[str, Callable[..., Iterator[Measurement]]] = {
    "fidelity": fidelity,
    "memory": memory,
    "half": half,
    "allocator": allocator,
    "speed": speed,
    "fold": fold,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=VERBS, nargs="+")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file that records are appended to (%(default)s)")
    parser.add_argument("--device", default="cpu", help="of `fold` (%(default)s)")
    options = parser.parse_args()
    for what in options.what:
        for measurement in VERBS[what](options.device) if what == "fold" else VERBS[what]():
            append_measurement(options.out, measurement)
            print(report(measurement), flush=True)


if __name__ == "__main__":
    main()
