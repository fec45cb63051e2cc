"""What is said of memory that is short."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch

from lowmem_fold.errors import DeviceFailedError
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


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`"), False),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (ValueError("out of memory"), False),
    ],
    ids=str,
)
def test_what_means_that_memory_ran_out(error: Exception, expected: bool) -> None:
    assert exhaustion.is_out_of_memory(error) is expected


def test_a_device_that_no_longer_answers_is_told_apart(monkeypatch) -> None:
    """An error that sticks: any later call raises it again."""
    exhaustion.check_device("cpu")
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    exhaustion.check_device("cuda:1")

    def broken(device: str) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nCompile with TORCH_USE_CUDA_DSA")

    monkeypatch.setattr(torch.cuda, "synchronize", broken)
    with pytest.raises(DeviceFailedError, match=r"cuda:1 no longer works in this process .*illegal memory access"):
        exhaustion.check_device("cuda:1")


def test_frames_of_an_error_and_of_its_causes_hold_nothing() -> None:
    seen = []

    def inner() -> None:
        held = torch.zeros(5)
        seen.append(weakref.ref(held))
        raise KeyError("first")

    def outer() -> None:
        held = torch.zeros(7)
        seen.append(weakref.ref(held))
        try:
            inner()
        except KeyError as error:
            raise MemoryError("then") from error

    with pytest.raises(MemoryError) as caught:
        outer()
    assert all(reference() is not None for reference in seen)
    exhaustion.forget_frames(caught.value)
    assert all(reference() is None for reference in seen)
