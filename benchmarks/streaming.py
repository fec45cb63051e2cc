"""A full-size fold on a CPU in little memory, beside stock transformers. `python -m benchmarks.streaming FOLDER`

FOLDER is the stand-in of `benchmarks.stand_in`. Each way runs in a process of its own and writes one record to
`results/streaming.jsonl`: anonymous memory (RssAnon) of the whole process over time, interpreter and libraries
included; when each phase ended; and sums over the output, by which the ways are compared. Pages of the mapped
checkpoint can be dropped and do not count. `python -m plots.make` draws it.
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
from typing import Any

from benchmarks.loading import anonymous_bytes
from lowmem_fold.bench.environment import describe_environment
from lowmem_fold.bench.records import Measurement, append_measurement

RESULTS = Path(__file__).parent / "results" / "streaming.jsonl"
WAYS = ("streamed", "resident", "stock")
LENGTH, NUM_RECYCLES = 128, 3
INTERVAL_SECONDS = 0.05
SEQUENCE = ("ACDEFGHIKLMNPQRSTVWY" * LENGTH)[:LENGTH]  # weights are random: no other would be more of a protein


class Curve:
    """Anonymous memory over time, with the ends of phases; `began` is when the process was asked to start."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.seconds: list[float] = []
        self.bytes: list[int] = []
        self.phases: dict[str, float] = {}

    def end_phase(self, name: str) -> None:
        self.phases[name] = round(time.perf_counter() - self.began, 2)

    @contextmanager
    def sampled(self) -> Iterator[None]:
        ended = threading.Event()
        thread = threading.Thread(target=self._sample, args=(ended,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _sample(self, ended: threading.Event) -> None:
        while not ended.wait(INTERVAL_SECONDS):
            self.seconds.append(round(time.perf_counter() - self.began, 2))
            self.bytes.append(anonymous_bytes())


def ours(model: str, placement: str, curve: Curve) -> dict[str, Any]:
    """Load, run the stem, run the trunk, in full precision."""
    import lowmem_fold

    curve.end_phase("import")
    folder = lowmem_fold.load(model, precision="fp32", device="cpu", placement=placement)
    curve.end_phase("load")
    states = folder.stem_states([SEQUENCE])
    curve.end_phase("stem")
    prediction = folder.fold(SEQUENCE, states=states[0], num_recycles=NUM_RECYCLES)
    curve.end_phase("trunk")
    return {"positions": float(abs(prediction.positions).sum()), "plddt": float(prediction.plddt.sum() / 100)}


def stock(model: str, curve: Curve) -> dict[str, Any]:
    """As its documentation says for little memory: the stem's weights as published, chunks of 64."""
    import torch
    from transformers import AutoTokenizer, EsmForProteinFolding
    from transformers.models.esm.openfold_utils import atom14_to_atom37

    curve.end_phase("import")
    folding = EsmForProteinFolding.from_pretrained(model, dtype=torch.float32).float().eval()
    folding.trunk.set_chunk_size(64)
    curve.end_phase("load")
    tokens = AutoTokenizer.from_pretrained(model)([SEQUENCE], return_tensors="pt", add_special_tokens=False)
    with torch.no_grad():
        out = folding(**tokens, num_recycles=NUM_RECYCLES)
    curve.end_phase("fold")
    positions = atom14_to_atom37(out["positions"][-1], out)[0] * out["atom37_atom_exists"][0][..., None]
    return {"positions": float(positions.abs().sum()), "plddt": float(out["plddt"][0, :, 1].sum())}


def measure(model: str, way: str) -> Measurement:
    """Run one way in this process."""
    curve = Curve()
    with curve.sampled():
        outputs = stock(model, curve) if way == "stock" else ours(model, way, curve)
    samples = {"seconds": curve.seconds, "anonymous_bytes": curve.bytes, "peak_anonymous_bytes": [max(curve.bytes)]}
    requested = {"model": Path(model).name, "way": way, "length": LENGTH, "num_recycles": NUM_RECYCLES}
    resolved = {"precision": "fp32", "phases": curve.phases, "outputs": outputs}
    return Measurement("streaming", requested, resolved, describe_environment(), samples)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("model", help="the folder of the stand-in")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS, help="(%(default)s)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="(%(default)s)")
    options = parser.parse_args()
    if len(options.ways) > 1:
        for way in options.ways:
            arguments = [options.model, "--ways", way, "--out", options.out]
            subprocess.run([sys.executable, "-m", "benchmarks.streaming", *arguments], check=True)
        return
    measurement = measure(options.model, options.ways[0])
    append_measurement(options.out, measurement)
    peak = measurement.samples["peak_anonymous_bytes"][0]
    resolved = measurement.resolved
    print(f"{options.ways[0]:9} peak {peak / 1e9:6.2f} GB ", resolved["phases"], resolved["outputs"])


if __name__ == "__main__":
    main()
