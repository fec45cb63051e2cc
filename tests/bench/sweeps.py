"""Records as a sweep writes them, of folds that never were."""

from __future__ import annotations

from typing import Any

from lowmem_fold.bench.configuration import OURS, Configuration
from lowmem_fold.bench.records import Measurement

ENVIRONMENT = {
    "platform": "Linux",
    "cpu": {"model": "A CPU", "cores": 2, "torch_threads": 2},
    "memory": {"total_bytes": 8 * 2**30, "free_bytes": 2**30},
    "gpus": [],
    "gpu_driver": None,
    "versions": {"python": "3.11", "torch": "2.13", "cuda": None},
    "git": {"commit": "0123abc", "changed": False},
    "load_average": None,
}
CARD = {
    **ENVIRONMENT,
    "gpus": [{"name": "A card", "total_bytes": 8 * 2**30, "compute_capability": "9.0"}],
    "gpu_driver": "550",
}
#: What a way takes beside stock: of seconds and of bytes.
PARTS = {
    ("stock fp32", None, None): (1, 1),
    (OURS, "fp32", "resident"): (0.5, 0.25),
    (OURS, "int8", "resident"): (0.6, 0.2),
}


def fold(
    way: tuple[str, str | None, str | None] = (OURS, "fp32", "resident"), length: int = 128, **values: Any
) -> Measurement:
    """A finished one; `samples` and `requested` are added, the other values replaced."""
    code, precision, placement = way
    asked = Configuration(code=code, precision=precision, placement=placement, length=length, device="cpu").requested()
    time, size = PARTS.get(way, (1, 1))
    seconds, peak = [time * length / 10 * x for x in (1.0, 0.9, 1.2)], int(size * 2**20 * length**2)
    samples: dict[str, list] = {"load_seconds": [3.5], "first_seconds": [2 * seconds[0]], "seconds": seconds}
    samples |= {
        "anonymous_peak_bytes": [peak - 1, peak],
        "live_peak_bytes": [peak // 2**4],
        "mean_plddt": [50.5],
        "ptm": [0.25],
    }
    if code == OURS:
        samples |= {f"{name}_seconds": [seconds[0] / 4] for name in ("stem", "trunk", "structure", "heads")}
        samples |= {"predicted_process_bytes": [peak]}
    if precision == "int8":
        samples |= {"fp32_ca_rmsd_angstrom": [length / 100], "fp32_lddt_ca": [1 - length / 10_000]}
    return Measurement(
        benchmark="sweep",
        requested=asked | values.pop("requested", {}),
        resolved={"model": "demo", "fingerprint": "f00", "device": "cpu"} | values.pop("resolved", {}),
        environment=values.pop("environment", ENVIRONMENT),
        samples=samples | values.pop("samples", {}),
        **values,
    )


def sweep(lengths: tuple[int, ...] = (64, 128, 256)) -> list[Measurement]:
    """Stock, and ours in two precisions; stock runs out of memory at the greatest length but one."""
    made = [fold(way, length) for length in lengths for way in PARTS]
    lost = {"status": "oom", "reason": "DefaultCPUAllocator: can't allocate <memory>", "samples": {}}
    asked = fold(("stock fp32", None, None), 2 * lengths[-1])
    return [*made, Measurement("sweep", asked.requested, asked.resolved, ENVIRONMENT, **lost)]
