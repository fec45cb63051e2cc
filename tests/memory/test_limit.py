"""A budget on a card that is larger than it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from lowmem_fold.errors import InputError
from lowmem_fold.memory.limit import CUDA_CONTEXT_BYTES, enforced

GIB = 2**30


@pytest.fixture
def fractions(monkeypatch) -> list[tuple[float, int]]:
    """What is set, of a card of 80 GiB that is device 1 and the current one."""
    found: list[tuple[float, int]] = []
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: SimpleNamespace(total_memory=80 * GIB))
    monkeypatch.setattr(
        torch.cuda, "set_per_process_memory_fraction", lambda fraction, index: found.append((fraction, index))
    )
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda index: 0.5, raising=False)
    return found


@pytest.mark.parametrize("device", ["cuda", "cuda:1", torch.device("cuda", 1)], ids=str)
def test_allocator_gets_the_budget_less_the_context_and_then_what_it_had(fractions, device) -> None:
    with enforced(device, 8 * GIB):
        ((fraction, index),) = fractions
        assert round(fraction * 80 * GIB) == 8 * GIB - CUDA_CONTEXT_BYTES
        assert index == 1
    assert fractions[1:] == [(0.5, 1)]


def test_limit_is_lifted_after_an_error(fractions) -> None:
    with pytest.raises(MemoryError), enforced("cuda", 8 * GIB):
        raise MemoryError
    assert fractions[-1] == (0.5, 1)


@pytest.mark.parametrize("memory_bytes", [50 * GIB, 100 * GIB], ids=["above-the-former", "above-the-card"])
def test_budget_never_raises_a_limit(fractions, memory_bytes) -> None:
    with enforced("cuda", memory_bytes):
        assert fractions == [(0.5, 1)]


def test_torch_that_does_not_tell_its_fraction(fractions, monkeypatch) -> None:
    monkeypatch.delattr(torch.cuda, "get_per_process_memory_fraction")
    with enforced("cuda", 8 * GIB):
        pass
    assert fractions[-1] == (1.0, 1)


def test_budget_below_the_context_is_refused(fractions) -> None:
    with pytest.raises(InputError, match=r"--memory .*MiB.* cuda:1: CUDA's own context"), enforced("cuda:1", 10**8):
        pass
    assert fractions == []


def test_nothing_is_enforced_on_a_cpu(fractions) -> None:
    with enforced("cpu", 1):
        assert torch.ones(100).sum() == 100
    assert fractions == []


@pytest.mark.gpu
def test_card_fails_where_a_smaller_one_would() -> None:
    budget = 2 * GIB
    allowed = budget - CUDA_CONTEXT_BYTES
    torch.cuda.empty_cache()  # of tests before
    with enforced("cuda", budget):
        held = torch.empty(allowed // 2, dtype=torch.uint8, device="cuda")
        with pytest.raises(torch.OutOfMemoryError):
            torch.empty(allowed // 2 + 2**21, dtype=torch.uint8, device="cuda")
        del held
        torch.cuda.empty_cache()
    assert torch.empty(allowed + 2**21, dtype=torch.uint8, device="cuda").nbytes > allowed
