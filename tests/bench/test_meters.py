from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from lowmem_fold.bench import meters
from lowmem_fold.bench.meters import Meters, free_before_context

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
MIB = 2**20


@linux
def test_anonymous_memory_of_the_block_and_not_of_what_came_before() -> None:
    np.ones(256 * MIB, np.uint8)  # given back at once
    with Meters("cpu", None) as small:
        pass
    with Meters("cpu", None) as large:
        held = np.ones(128 * MIB, np.uint8)
    del held
    risen = large.peaks["anonymous_peak_bytes"] - small.peaks["anonymous_peak_bytes"]
    assert risen == pytest.approx(128 * MIB, abs=4 * MIB)
    assert large.peaks["resident_peak_bytes"] >= large.peaks["anonymous_peak_bytes"]
    assert large.peaks.keys() == {"anonymous_peak_bytes", "resident_peak_bytes"}


@linux
def test_what_is_freed_within_the_block_counts() -> None:
    import time

    with Meters("cpu", None) as before:
        pass
    with Meters("cpu", None) as within:
        held = np.ones(128 * MIB, np.uint8)
        while within._anonymous._highest - before.peaks["anonymous_peak_bytes"] < 120 * MIB:
            time.sleep(0.01)  # until it has been read
        del held
    assert within.peaks["anonymous_peak_bytes"] - before.peaks["anonymous_peak_bytes"] > 120 * MIB


@pytest.mark.parametrize(
    ("device", "visible", "asked"),
    [("cuda", "", "--id=0"), ("cuda:1", "", "--id=1"), ("cuda:1", "3,GPU-5", "--id=GPU-5"), ("cuda", "2", "--id=2")],
    ids=str,
)
def test_the_driver_is_asked_of_the_card_that_torch_means(
    monkeypatch: pytest.MonkeyPatch, device: str, visible: str, asked: str
) -> None:
    given = []

    def run(command, **_):
        given.extend(command)
        return subprocess.CompletedProcess(command, 0, "1234\n")

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(meters.subprocess, "run", run)
    assert free_before_context(device) == 1234 * MIB
    assert given[:2] == ["nvidia-smi", asked]


def test_without_a_card_or_its_tool_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert free_before_context("cpu") is None
    monkeypatch.setenv("PATH", "")
    assert free_before_context("cuda") is None


@pytest.mark.gpu
def test_a_card_s_meters_agree() -> None:
    import torch

    torch.empty(1, device="cuda")
    free = torch.cuda.mem_get_info()[0]
    with Meters("cuda", free) as found:
        held = torch.ones(256 * MIB, dtype=torch.uint8, device="cuda")
    del held
    peaks = found.peaks
    assert peaks["allocated_peak_bytes"] >= 256 * MIB
    assert peaks["reserved_peak_bytes"] >= peaks["allocated_peak_bytes"]
    assert 256 * MIB <= peaks["device_process_peak_bytes"] <= peaks["reserved_peak_bytes"] + 256 * MIB
