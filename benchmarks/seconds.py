"""Predicted beside measured seconds: `python -m benchmarks.seconds [--device D]`. Records go to `results/seconds.jsonl`

The device is calibrated anew, and then measured, at other lengths than those of the calibration:

- whole folds of the demo model, from sequence to prediction;
- ESMFold v1's widths with random weights: the seconds of a layer of the stem (the difference of two layers to one), of
  a block (`run_block`), of recycling, structure module and heads, each multiplied by how often a fold runs it. A whole
  fold would take all the weights, and too long.

The lengths take turns. On a machine with other work to do predictions are off by what that work does to either side:
`spread` in a record says how uneven the calibration was (1 where nothing else runs), the turns how uneven the rest.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lowmem_fold.bench.environment import describe_environment
from lowmem_fold.bench.records import Measurement, append_measurement
from lowmem_fold.esmfold.family import FAMILY
from lowmem_fold.esmfold.modules import part_of
from lowmem_fold.esmfold.probes import calls_of, filled_model
from lowmem_fold.esmfold.published import esmfold_v1_config
from lowmem_fold.esmfold.trunk import run_block
from lowmem_fold.folder import Folder
from lowmem_fold.loading import load
from lowmem_fold.pair.tiles import Tiling
from lowmem_fold.planning.calibration import Calibration, calibrate
from lowmem_fold.planning.seconds import Seconds, predict_seconds
from lowmem_fold.planning.timing import seconds_of
from lowmem_fold.precision import Precision, parse_precision
from lowmem_fold.quantization.registry import unavailable
from lowmem_fold.quantization.stored import quantize_linear
from lowmem_fold.residency.placements import WeightLayout

RESULTS = Path(__file__).parent / "results" / "seconds.jsonl"
NUM_RECYCLES = 3
TURNS = 3
DEMO_LENGTHS = {"cpu": (24, 96, 240), "cuda": (48, 128, 512)}
V1_LENGTHS = {"cpu": (32, 128, 256, 384), "cuda": (128, 512, 1024, 2048)}
NOTHING_MOVES = WeightLayout(0, (), (), (), ())


@dataclass(frozen=True)
class Case:
    """What is measured: parts by name, with how often a fold runs each; and what a fold was predicted to take."""

    requested: Mapping[str, Any]
    calls: Mapping[str, Callable[[], Any]]
    times: Mapping[str, float]
    predicted: Seconds


def predict(config: Mapping[str, Any], length: int, precision: Precision, calibration: Calibration) -> Seconds:
    found = predict_seconds(
        FAMILY,
        config,
        length,
        num_recycles=NUM_RECYCLES,
        precision=precision,
        placement="resident",
        layout=NOTHING_MOVES,
        calibration=calibration,
    )
    assert found is not None
    return found


def demo_case(folder: Folder, length: int, calibration: Calibration) -> Case:
    sequence = ("ACDEFGHIKLMNPQRSTVWY" * length)[:length]
    predicted = predict(folder.model.config.to_dict(), length, Precision(), calibration)
    call = {"fold": lambda: folder.fold(sequence, num_recycles=NUM_RECYCLES)}
    requested = {"model": "demo", "length": length, "precision": "fp32", "num_recycles": NUM_RECYCLES}
    return Case(requested, call, {"fold": 1}, predicted)


def v1_model(device: torch.device, precision: str) -> nn.Module:
    """Two layers and a block, in float32 but for the products that the precision stores otherwise."""
    config = esmfold_v1_config(stem_layers=2, trunk_blocks=1)
    config.esmfold_config.fp16_esm = False
    model, policy = filled_model(config, device), parse_precision(precision).resolve(device)
    for name, module in list(model.named_modules()):
        part = policy.of_linear(name, part_of(name))
        if isinstance(module, nn.Linear) and part.weights != "fp32":
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, quantize_linear(module, part.weights, torch.float32))
    return model


def v1_case(model: nn.Module, precision: str, length: int, calibration: Calibration) -> Case:
    full = esmfold_v1_config().to_dict()
    device, trunk, layers = model.device, model.trunk, model.esm.encoder.layer
    parts = calls_of(model, length)
    s = torch.randn(length, trunk.recycle_s_norm.weight.shape[0], device=device)
    z = torch.randn(length, length, trunk.recycle_z_norm.weight.shape[0], device=device)
    tiling = Tiling.for_device(device)

    def one_layer() -> Any:
        model.esm.encoder.layer = layers[:1]
        try:
            return parts["stem"]()
        finally:
            model.esm.encoder.layer = layers

    @torch.no_grad()
    def block() -> Any:
        return run_block(trunk.blocks[0], s, [z], tiling)

    passes = NUM_RECYCLES + 1
    calls = {"stem_one_layer": one_layer, "stem_two_layers": parts["stem"], "block": block}
    calls |= {name: parts[name] for name in ("recycling", "structure", "heads")}
    # 36 layers: one and what else the stem does, and 35 times the difference
    times = {"stem_one_layer": -34, "stem_two_layers": 35, "block": 48 * passes}
    times |= {"recycling": passes, "structure": passes, "heads": 1}
    requested = {"model": "esmfold_v1, random weights", "length": length, "precision": precision}
    policy = parse_precision(precision).resolve(device)
    return Case({**requested, "num_recycles": NUM_RECYCLES}, calls, times, predict(full, length, policy, calibration))


def measurements(device: torch.device, lengths: tuple[int, ...] | None = None) -> Iterator[Measurement]:
    start = time.perf_counter()
    calibration = calibrate(device, FAMILY)
    calibration_seconds = time.perf_counter() - start
    folder = load("demo", device=str(device))
    cases = [demo_case(folder, n, calibration) for n in lengths or DEMO_LENGTHS.get(device.type, DEMO_LENGTHS["cpu"])]
    of_v1 = lengths or V1_LENGTHS.get(device.type, V1_LENGTHS["cpu"])
    plain = v1_model(device, "fp32")
    cases += [v1_case(plain, "fp32", n, calibration) for n in of_v1]
    if device.type == "cpu" and unavailable("int8", device) is None:
        cases.append(v1_case(v1_model(device, "int8"), "int8", of_v1[min(1, len(of_v1) - 1)], calibration))
    taken = measured(cases, device)
    environment = describe_environment()
    resolved = {
        "calibration_seconds": round(calibration_seconds, 2),
        "calibrated_lengths": sorted({sample["length"] for sample in calibration.samples}),
        "spread": round(calibration.spread, 3),
        "rates": dict(calibration.rates),
        "device": str(device),
    }
    for case, parts in zip(cases, taken, strict=True):
        samples = {f"{name}_seconds": seconds for name, seconds in parts.items()}
        predicted = {
            "predicted_seconds": [case.predicted.total],
            "predicted_stem_seconds": [case.predicted.stem],
            "predicted_trunk_seconds": [case.predicted.trunk],
        }
        about = {**resolved, "times": dict(case.times)}
        yield Measurement("seconds", dict(case.requested), about, environment, {**samples, **predicted})


def measured(cases: list[Case], device: torch.device) -> list[dict[str, list[float]]]:
    """Seconds of each part of each case, in turns; of three the median leaves a slow first one out."""
    taken: list[dict[str, list[float]]] = [{name: [] for name in case.calls} for case in cases]
    for _ in range(TURNS):
        for case, parts in zip(cases, taken, strict=True):
            for name, call in case.calls.items():
                parts[name].append(seconds_of(call, device))
    return taken


def fold_seconds(measurement: Measurement) -> float:
    """Seconds of a fold: of each part the median, as often as it runs."""
    times = measurement.resolved["times"]
    return sum(n * statistics.median(measurement.samples[f"{name}_seconds"]) for name, n in times.items())


def ratio(measurement: Measurement) -> float:
    """Predicted over measured seconds of a fold."""
    return measurement.samples["predicted_seconds"][0] / fold_seconds(measurement)


def report(measurement: Measurement) -> str:
    asked, resolved = measurement.requested, measurement.resolved
    predicted, found = measurement.samples["predicted_seconds"][0], fold_seconds(measurement)
    return (
        f"{asked['model']:26} {asked['precision']:5} L={asked['length']:<5} measured {found:9.2f} s,"
        f" predicted {predicted:9.2f} s, ratio {ratio(measurement):.2f}"
        f" (calibrated in {resolved['calibration_seconds']:.1f} s, spread {resolved['spread']:.2f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:N or mps (%(default)s)")
    parser.add_argument("--lengths", type=int, nargs="+", help="of all models, instead of those of the benchmark")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file that records are appended to (%(default)s)")
    options = parser.parse_args()
    lengths = tuple(options.lengths) if options.lengths else None
    for measurement in measurements(torch.device(options.device), lengths):
        append_measurement(options.out, measurement)
        print(report(measurement), flush=True)


if __name__ == "__main__":
    main()
