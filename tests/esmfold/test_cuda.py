"""The engine on a CUDA device."""

from __future__ import annotations

import pytest
import torch

from lowmem_fold.bench.fidelity import differences, ours, stock
from lowmem_fold.bench.models import esmfold_v1_config, random_model, random_record
from lowmem_fold.bench.peaks import pair_tensor_bytes
from lowmem_fold.esmfold.engine import fold_batch

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def model():
    torch.backends.cuda.matmul.allow_tf32 = False
    return random_model(esmfold_v1_config(stem_layers=1, trunk_blocks=1)).cuda()


@pytest.mark.parametrize("length", [1, 33, 129])
def test_equals_stock(model, length: int) -> None:
    record = random_record(length, seed=length, device="cuda")
    assert max(differences(ours(model, record, 0), stock(model, record, 0)).values()) < 1e-4


@pytest.mark.parametrize(("length", "limit"), [(1024, 2.15), (1000, 2.15), (2048, 2.10)])
def test_peak(model, length: int, limit: float) -> None:
    """Of the allocator, workspaces included; 1,000 is no multiple of the alignment that attention wants of its bias."""
    record = random_record(length, device="cuda")
    fold_batch(model, [record], num_recycles=1)
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    fold_batch(model, [record], num_recycles=1)
    peak = torch.cuda.max_memory_allocated() - before
    assert peak <= limit * pair_tensor_bytes(length)
