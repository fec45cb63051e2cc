"""The engine on a CUDA device."""

from __future__ import annotations

import pytest
import torch

from lowmem_fold.bench.fidelity import difference, differences, ours, stock
from lowmem_fold.bench.models import random_model
from lowmem_fold.esmfold.engine import fold_batch
from lowmem_fold.esmfold.peaks import pair_tensor_bytes
from lowmem_fold.esmfold.published import esmfold_v1_config, random_record
from lowmem_fold.pair.storage import PairStorage
from lowmem_fold.pair.triangle_multiplication import _product

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def model():
    torch.backends.cuda.matmul.allow_tf32 = False
    return random_model(esmfold_v1_config(stem_layers=1, trunk_blocks=1)).cuda()


@pytest.mark.parametrize("length", [1, 33, 129])
def test_equals_stock(model, length: int) -> None:
    record = random_record(length, seed=length, device="cuda")
    assert max(differences(ours(model, record, 0), stock(model, record, 0)).values()) < 1e-4


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 2**-6), (torch.float16, 2**-9)], ids=str)
def test_half_precision_is_close_to_float32(model, dtype: torch.dtype, tolerance: float) -> None:
    record = random_record(129, device="cuda")
    found, expected = (ours(model, record, 0, storage=each) for each in (PairStorage(dtype, dtype), None))
    for name in ("pair_state", "distogram", "pae", "plddt"):
        assert difference(getattr(found, name), getattr(expected, name)) < tolerance, name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_product_is_summed_in_float32(dtype: torch.dtype) -> None:
    left, operand = (torch.randn(12, n, 129, device="cuda").to(dtype) for n in (7, 129))
    found = _product(left, operand, torch.float32)
    assert found.dtype == torch.float32
    assert difference(found.double(), torch.bmm(left.double(), operand.double().transpose(1, 2))) < 1e-5


HALF = PairStorage(torch.float16, torch.float16)
ROUNDED_BLOCKS = 64
"""Large blocks that live at once, at most: the weights' are there before. Of each the allocator keeps less than 1 MiB
that was not asked for (`kSmallSize` in torch's CUDACachingAllocator)."""


@pytest.mark.parametrize(
    ("length", "limit", "storage"),
    [(1024, 2.15, None), (1000, 2.15, None), (2048, 2.10, None), (2048, 1.10, HALF)],
    ids=["1024", "1000", "2048", "2048 in half precision"],
)
def test_peak(model, length: int, limit: float, storage: PairStorage | None) -> None:
    """Of what is asked of the allocator, workspaces included; 1,000 is no multiple of the alignment that attention
    wants of its bias. What the allocator rounds its blocks by, up to 1 MiB each, is not the engine's: bounded apart."""
    record = random_record(length, device="cuda")
    fold_batch(model, [record], num_recycles=1, storage=storage)
    torch.cuda.synchronize()
    before = torch.cuda.memory_stats()
    torch.cuda.reset_peak_memory_stats()
    fold_batch(model, [record], num_recycles=1, storage=storage)
    after = torch.cuda.memory_stats()
    asked, taken = (
        after[f"{kind}_bytes.all.peak"] - before[f"{kind}_bytes.all.current"] for kind in ("requested", "allocated")
    )
    assert asked <= limit * pair_tensor_bytes(length)
    assert taken <= asked + ROUNDED_BLOCKS * 2**20
