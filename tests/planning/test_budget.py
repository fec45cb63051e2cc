from __future__ import annotations

import pytest
import torch

from lowmem_fold.memory.capacity import Capacity
from lowmem_fold.planning import budget
from lowmem_fold.planning.budget import scarce_memory

CPU = torch.device("cpu")


@pytest.mark.parametrize("length", [1, 100, 3000])
@pytest.mark.parametrize("weights", [0, 10**9])
def test_memory_is_scarce_where_a_fold_may_need_more(
    monkeypatch: pytest.MonkeyPatch, weights: int, length: int
) -> None:
    """The weights, four pair tensors of 512 bytes for each pair of residues, and a GiB."""
    needed = weights + 4 * 512 * length * length + 2**30
    for free, expected in ((needed - 1, needed - 1), (needed, None), (None, None)):
        monkeypatch.setattr(budget, "host_capacity", lambda free=free: Capacity(2**50, free))
        assert scarce_memory(weights, length, CPU) == expected


def test_where_the_device_shares_main_memory_nothing_is_scarce(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "host_capacity", lambda: Capacity(2**30, 1))
    assert scarce_memory(10**9, 100, torch.device("mps")) is None
