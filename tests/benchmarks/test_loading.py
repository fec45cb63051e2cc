"""The stand-in has the published layout, and loading it is measured."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import EsmForProteinFolding

from benchmarks import loading
from lowmem_fold.quantization.registry import unavailable

ROOT = Path(__file__).parents[2]


def test_the_stand_in_is_laid_out_as_published(small_stand_in: Path) -> None:
    assert {"config.json", "pytorch_model.bin", "vocab.txt"} <= {file.name for file in small_stand_in.iterdir()}
    state = torch.load(small_stand_in / "pytorch_model.bin", weights_only=True)
    kinds = {(name.startswith("esm."), t.dtype) for name, t in state.items() if t.is_floating_point()}
    assert kinds == {(True, torch.float16), (False, torch.float32)}
    stock = EsmForProteinFolding.from_pretrained(small_stand_in)
    assert not (stock.state_dict().keys() - state.keys())
    assert torch.equal(stock.esm.encoder.layer[0].output.dense.weight, state["esm.encoder.layer.0.output.dense.weight"])


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_loading_is_measured(small_stand_in: Path, precision: str) -> None:
    if reason := unavailable(precision, torch.device("cpu")):
        pytest.skip(reason)
    measurement = loading.measure(str(small_stand_in), precision)
    assert measurement.requested == {"model": "stand-in", "precision": precision}
    weights = measurement.resolved["weights"]["total"]
    assert measurement.samples["weight_bytes"] == [weights["bytes"]]
    assert weights["bits_per_weight"] == (32 if precision == "fp32" else pytest.approx(18, abs=8))


PEAK = """
import time
import numpy
from benchmarks.loading import anonymous_bytes, sampled_peak

size, before = 64 * 2**20, anonymous_bytes()
with sampled_peak() as peak:
    numpy.ones(size // 8).sum()
    held = numpy.ones(size // 8)
    end = time.monotonic() + 300
    while peak[0] - before < size * 0.9 and time.monotonic() < end:
        held.sum()  # until the sampler has looked
assert size * 0.9 < peak[0] - before < size * 2.5, (before, peak)
"""


def test_the_peak_is_that_of_the_block() -> None:
    """In a process of its own: here, what other tests have left may be given back meanwhile."""
    done = subprocess.run([sys.executable, "-c", PEAK], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
