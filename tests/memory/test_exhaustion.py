"""What is said of memory that is short."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch

from lowmem_fold.memory import exhaustion
from lowmem_fold.memory.capacity import Capacity
from lowmem_fold.memory.limit import CUDA_CONTEXT_BYTES

GIB = 2**30


@pytest.fixture
def card(monkeypatch):
    """Device 1 of 16 GiB, with 3 GiB in torch's allocator, and as much free as is said."""
    free = {}
    monkeypatch.setattr(exhaustion, "cuda_capacity", lambda index: Capacity(16 * GIB, free[index]))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda index: {1: 3 * GIB}[index])
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    return free


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_other_processes_are_named(card, device) -> None:
    card[1] = 16 * GIB - 3 * GIB - CUDA_CONTEXT_BYTES - 5 * GIB
    assert exhaustion.others_text(device) == "; other processes use 5.00 GiB of it"
    assert (
        exhaustion.capacity_text(device) == f"7.50 GiB free of 16.00 GiB ({device}); other processes use 5.00 GiB of it"
    )


@pytest.mark.parametrize("others", [0, CUDA_CONTEXT_BYTES, -GIB], ids=["nobody", "little", "no-context"])
def test_what_may_be_this_process_is_not_blamed_on_others(card, others) -> None:
    card[1] = 16 * GIB - 3 * GIB - CUDA_CONTEXT_BYTES - others
    assert exhaustion.others_text("cuda:1") == ""


def test_host(monkeypatch) -> None:
    monkeypatch.setattr(exhaustion, "host_capacity", lambda: Capacity(8 * GIB, None))
    assert exhaustion.capacity_text("cpu") == "? free of 8.00 GiB (main memory)"
    assert exhaustion.others_text("cpu") == ""


def test_reference_cycles_are_let_go() -> None:
    gc.disable()
    try:
        tensor = torch.zeros(3)
        storage = weakref.ref(tensor.untyped_storage())
        cycle: list = [tensor]
        cycle.append(cycle)
        del tensor, cycle
        assert storage() is not None
        exhaustion.release_memory()
        assert storage() is None
    finally:
        gc.enable()
