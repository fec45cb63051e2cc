"""Loading at each precision: seconds, peak anonymous memory, bytes by part. `python -m benchmarks.loading MODEL`

Each precision is loaded in a process of its own, onto the CPU; records go to `results/loading.jsonl`. Anonymous memory
(RssAnon, sampled) is what a program holds for itself; pages of the mapped checkpoint can be dropped and do not count.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lowmem_fold.bench.environment import describe_environment
from lowmem_fold.bench.records import Measurement, append_measurement
from lowmem_fold.esmfold.modules import ESMFOLD
from lowmem_fold.precision import PRESETS

RESULTS = Path(__file__).parent / "results" / "loading.jsonl"
PRECISIONS = tuple(PRESETS)
INTERVAL_SECONDS = 0.002


def anonymous_bytes() -> int:
    """RssAnon of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise OSError("this system does not tell RssAnon")


@contextmanager
def sampled_peak() -> Iterator[list[int]]:
    """A list that holds the highest anonymous memory of the block, once it has ended."""
    peak, ended = [anonymous_bytes()], threading.Event()

    def sample() -> None:
        while not ended.wait(INTERVAL_SECONDS):
            peak[0] = max(peak[0], anonymous_bytes())

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


def measure(model: str, precision: str) -> Measurement:
    """Load in this process."""
    import torch

    from lowmem_fold.checkpoints.checkpoint import find_checkpoint
    from lowmem_fold.checkpoints.loader import load_model
    from lowmem_fold.folder import Folder
    from lowmem_fold.precision import parse_precision
    from lowmem_fold.quantization.registry import quantize

    asked, cpu = parse_precision(precision), torch.device("cpu")
    quantize(torch.randn(256, 256), asked.stem.weights)  # what the imports take is not what loading takes
    checkpoint = find_checkpoint(model)
    before = anonymous_bytes()
    start = time.perf_counter()
    with sampled_peak() as peak:
        loaded = load_model(checkpoint, asked.resolve(cpu), cpu, ESMFOLD)
    seconds = time.perf_counter() - start
    about = Folder(loaded, checkpoint, asked).describe()
    samples = {
        "seconds": [round(seconds, 2)],
        "peak_anonymous_bytes": [peak[0] - before],
        "weight_bytes": [about["weights"]["total"]["bytes"]],
    }
    resolved = {name: about[name] for name in ("fingerprint", "resolved_precision", "weights", "device")}
    requested = {"model": Path(model).name, "precision": precision}
    return Measurement("loading", requested, resolved, describe_environment(), samples)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("model", help="a folder, such as the stand-in that benchmarks.stand_in writes")
    parser.add_argument("--precision", nargs="+", default=PRECISIONS, help="(%(default)s)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="(%(default)s)")
    options = parser.parse_args()
    if len(options.precision) > 1:
        for precision in options.precision:
            arguments = [options.model, "--precision", precision, "--out", options.out]
            subprocess.run([sys.executable, "-m", "benchmarks.loading", *arguments], check=True)
        return
    measurement = measure(options.model, options.precision[0])
    append_measurement(options.out, measurement)
    peak, size = (measurement.samples[name][0] / 2**30 for name in ("peak_anonymous_bytes", "weight_bytes"))
    print(f"{options.precision[0]:9} {size:6.2f} GiB, peak while loading {peak:6.2f} GiB")


if __name__ == "__main__":
    main()
