"""Peaks against allocations of known size."""

from __future__ import annotations

import mmap
import sys
import time
from collections.abc import Callable

import pytest

from lowmem_fold.memory import capacity, meters
from lowmem_fold.memory.meters import peak_meter

MIB = 2**20
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def touch(mib: int, seen: Callable[[], bool] = lambda: True) -> None:
    """Take memory from the system, write to all of it, give it back once it has been seen. Not from the C library,
    which may hold some that other tests have freed."""
    with mmap.mmap(-1, mib * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as held:
        for _ in range(mib):
            held.write(b"1" * MIB)
        while not seen():
            time.sleep(0.01)


@linux
@pytest.mark.parametrize("resettable", [True, False], ids=["reset", "sampled"])
def test_peak_of_a_block_is_seen_after_the_memory_is_gone(monkeypatch, resettable):
    if not resettable:
        monkeypatch.setattr(meters, "_can_reset", lambda: False)
    elif not meters._can_reset():
        pytest.skip("the kernel does not let this process reset VmHWM")
    touch(8)  # what Python itself needs is there
    with peak_meter("cpu") as large:
        touch(256, lambda: resettable or large._highest - large.start_bytes > 0.97 * 256 * MIB)
    with peak_meter("cpu") as small:
        touch(16)
    assert 0.97 * 256 * MIB < large.peak_bytes - large.start_bytes < 1.1 * 256 * MIB
    assert small.peak_bytes - small.start_bytes < 32 * MIB
    assert isinstance(large.peak_bytes, int)
    assert ("VmHWM" in large.name) is resettable and ("sampled" in large.name) is not resettable


@linux
def test_peak_is_known_after_an_error():
    with pytest.raises(ValueError), peak_meter() as meter:
        touch(64)
        raise ValueError
    assert meter.peak_bytes >= meter.start_bytes


def test_without_proc_the_peak_is_that_of_the_process(monkeypatch):
    monkeypatch.setattr(meters, "_STATUS", meters.Path("/nowhere"))
    monkeypatch.setattr(meters, "_CLEAR", meters.Path("/nowhere/clear"))
    with peak_meter() as meter:
        touch(64)
    assert "since the process began" in meter.name
    assert meter.peak_bytes is not None and meter.peak_bytes >= 64 * MIB


@pytest.mark.gpu
def test_cuda_peak_is_the_allocators():
    import torch

    kept = torch.zeros(8 * MIB, dtype=torch.uint8, device="cuda")
    with peak_meter("cuda") as meter:
        torch.zeros(64 * MIB, dtype=torch.uint8, device="cuda")
    assert meter.peak_bytes - meter.start_bytes == 64 * MIB
    assert meter.start_bytes >= kept.numel()


def test_host_capacity_agrees_with_the_page_count():
    host = capacity.host_capacity()
    assert host.total_bytes is not None and host.total_bytes <= 1.05 * capacity._pages_bytes()
    assert host.free_bytes is None or 0 < host.free_bytes <= host.total_bytes
