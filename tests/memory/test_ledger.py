"""The ledger on tensors whose bytes are known, and against the allocator."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses import FakeTensorMode

from lowmem_fold.memory.allocator import allocator_peak_bytes
from lowmem_fold.memory.ledger import Ledger


@pytest.fixture(params=["real", "fake"])
def mode(request):
    if request.param == "real":
        yield
    else:
        with FakeTensorMode():
            yield


@pytest.mark.usefixtures("mode")
def test_counts_what_lives_and_the_most_that_did() -> None:
    with Ledger() as ledger:
        a = torch.zeros(100)
        b = torch.zeros(50, dtype=torch.float64)
        del a
        c = torch.zeros(10)
    assert (ledger.live_bytes, ledger.peak_bytes) == (440, 800)
    del b, c
    assert ledger.live_bytes == 0


@pytest.mark.usefixtures("mode")
def test_views_and_changes_in_place_cost_nothing() -> None:
    with Ledger() as ledger:
        a = torch.zeros(64, 4)
        view = a[3:9].transpose(0, 1).reshape(24)[::2]  # the reshape of a transposed block is a copy: 24 floats
        a.add_(1).mul_(2)
        torch.add(a, 1, out=a)
        del a
    assert ledger.live_bytes == 24 * 4  # the copy lives in its view, and the rest is gone
    assert ledger.peak_bytes == (256 + 24) * 4
    del view


@pytest.mark.usefixtures("mode")
def test_a_view_keeps_its_storage() -> None:
    with Ledger() as ledger:
        view = torch.zeros(1000)[:1]
    assert ledger.live_bytes == 4000
    del view


@pytest.mark.usefixtures("mode")
def test_what_is_older_is_not_counted() -> None:
    weight = torch.zeros(100, 100)
    with Ledger() as ledger:
        rows = weight[5:]
        weight.t().add_(1)
        total = rows.sum(1)
    assert ledger.peak_bytes == 95 * 4
    assert "sum" in ledger.peak_operation
    del total


def test_equals_the_allocator_where_kernels_need_nothing() -> None:
    def compute() -> torch.Tensor:
        a = torch.ones(1000, 64)
        b = a * 2
        del a
        return torch.cat([b, b]) + 1

    with Ledger() as ledger:
        compute()
    assert ledger.peak_bytes == (1 + 2 + 2) * 256_000
    assert allocator_peak_bytes(compute) == pytest.approx(ledger.peak_bytes, rel=1e-4)  # the profiler has a few bytes


def test_the_allocator_sees_inside_kernels() -> None:
    """A transposed matrix that layer_norm copies: the ledger sees the result alone."""
    x = torch.randn(64, 1000).t()

    def compute() -> torch.Tensor:
        return torch.nn.functional.layer_norm(x, (64,))

    with Ledger() as ledger:
        compute()
    assert allocator_peak_bytes(compute) > 1.9 * ledger.peak_bytes
