"""Peak live bytes above the weights, in U: one pair tensor, 512 L^2 bytes at ESMFold v1's width."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from transformers import EsmForProteinFolding

from lowmem_fold.bench.models import random_model
from lowmem_fold.esmfold.engine import fold_batch
from lowmem_fold.esmfold.peaks import FakeESMFold, pair_tensor_bytes
from lowmem_fold.esmfold.published import esmfold_v1_config, random_record
from lowmem_fold.memory.allocator import allocator_peak_bytes
from lowmem_fold.memory.ledger import Ledger
from lowmem_fold.pair.storage import PairStorage
from lowmem_fold.pair.tiles import Tiling, sampled_tiles, tiles

HALF = PairStorage(torch.bfloat16, torch.float16)


@pytest.fixture(scope="module")
def fake() -> FakeESMFold:
    return FakeESMFold()


@pytest.mark.parametrize(("length", "limit"), [(1024, 2.15), (2048, 2.10), (4096, 2.10)])
def test_peak_at_full_width(fake: FakeESMFold, length: int, limit: float) -> None:
    assert 2 < fake.peak_bytes(length) / pair_tensor_bytes(length) <= limit


@pytest.mark.parametrize(
    ("storage", "limit"),
    [(HALF, 1.10), (PairStorage(operand=torch.bfloat16), 1.60), (PairStorage(torch.bfloat16), 1.60)],
    ids=["both in half", "operand", "state"],
)
def test_peak_in_half_precision(fake: FakeESMFold, storage: PairStorage, limit: float) -> None:
    assert limit - 0.1 < fake.peak_bytes(2048, storage=storage) / pair_tensor_bytes(2048) <= limit


def test_peak_of_a_complex_is_no_higher(fake: FakeESMFold) -> None:
    assert fake.peak_bytes(1024, linker=slice(500, 525)) / pair_tensor_bytes(1024) <= 2.15


@pytest.mark.more
def test_stock_by_the_same_ruler(fake: FakeESMFold) -> None:
    """13.6 pair tensors with chunk_size 64."""
    assert fake.stock_peak_bytes(1024, chunk_size=64) / pair_tensor_bytes(1024) == pytest.approx(13.6, abs=0.1)


@pytest.mark.parametrize(
    ("chunk_size", "linker", "storage"),
    [(9, slice(0), None), (None, slice(20, 30), HALF), (None, slice(0), None)],
    ids=["chain", "complex in half", "chain by bytes"],
)
def test_sampled_tiles_have_the_peak_of_all(
    fake: FakeESMFold, chunk_size: int | None, linker: slice, storage: PairStorage | None
) -> None:
    check_sampled_tiles(fake, 40, Tiling(chunk_size, budget_bytes=2**20, cache_bytes=2**19), linker, storage)


@pytest.mark.more
@pytest.mark.parametrize("chunk_size", [16, None])
@pytest.mark.parametrize("linker", [slice(0), slice(50, 75)], ids=["chain", "complex"])
@pytest.mark.parametrize("storage", [None, HALF], ids=["float32", "half"])
def test_sampled_tiles_of_longer_records_have_the_peak_of_all(
    fake: FakeESMFold, chunk_size: int | None, linker: slice, storage: PairStorage | None
) -> None:
    check_sampled_tiles(fake, 93, Tiling(chunk_size, budget_bytes=2**21, cache_bytes=2**20), linker, storage)


def check_sampled_tiles(
    fake: FakeESMFold, length: int, tiling: Tiling, linker: slice, storage: PairStorage | None
) -> None:
    """Up to ten blocks in each loop, of which three are visited."""
    options = {"tiling": tiling, "linker": linker, "storage": storage}
    sampled, full = (fake.peak_bytes(length, all_tiles=all_, **options) for all_ in (False, True))
    assert sampled == full


def test_sampling_skips_tiles() -> None:
    with sampled_tiles():
        assert list(tiles(100, 16)) == [slice(0, 16), slice(16, 32), slice(96, 100)]
    assert len(list(tiles(100, 16))) == 7


def test_recycles_do_not_add(fake: FakeESMFold) -> None:
    """From the first recycle on."""
    assert fake.peak_bytes(512, num_recycles=1) == fake.peak_bytes(512, num_recycles=2)


@pytest.mark.parametrize("budget", [2**23, 2**24, 2**25, 2**26])
def test_budget_is_a_ceiling(fake: FakeESMFold, budget: int) -> None:
    """Of the temporaries of triangle multiplication, where the peak is; what grows with L alone takes 28 U / L."""
    unit, tiling = pair_tensor_bytes(1024), Tiling(budget_bytes=budget)
    assert fake.peak_bytes(1024, tiling=tiling) <= 2 * unit + 28 * unit / 1024 + budget + tiling.cache_bytes


def test_lower_blocks_take_less(fake: FakeESMFold) -> None:
    peaks = [fake.peak_bytes(1024, tiling=Tiling(chunk_size)) for chunk_size in (8, 64)]
    assert peaks[0] < peaks[1]


@cache
def one_block() -> EsmForProteinFolding:
    return random_model(esmfold_v1_config(stem_layers=1, trunk_blocks=1))


@pytest.mark.parametrize(
    ("length", "chunk_size", "storage"),
    [(96, None, None), (90, 8, None), (96, 16, HALF), (90, None, PairStorage(operand=torch.bfloat16))],
    ids=["usual", "low blocks", "both in half", "operand in half"],
)
def test_kernels_allocate_nothing_unseen(length: int, chunk_size: int | None, storage: PairStorage | None) -> None:
    """At a length that fills the alignment of kernels, and at one that does not. Additions to a pair state in half
    precision widen a block of rows within themselves, away from the peak."""
    check_against_allocator(length, chunk_size, storage)


@pytest.mark.more
@pytest.mark.parametrize(
    ("length", "chunk_size", "storage"),
    [(256, None, None), (250, 16, None), (250, None, HALF)],
    ids=["usual", "low blocks", "both in half"],
)
def test_kernels_allocate_nothing_unseen_at_250(
    length: int, chunk_size: int | None, storage: PairStorage | None
) -> None:
    check_against_allocator(length, chunk_size, storage)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("length", "chunk_size", "storage"),
    [
        *(
            (length, chunk_size, None)
            for length, chunk_size in ((256, 4), (256, 16), (256, 64), (512, None), (512, 32))
        ),
        *((250, None, storage) for storage in (HALF, PairStorage(operand=torch.bfloat16))),
        *((256, 16, storage) for storage in (HALF, PairStorage(operand=torch.bfloat16))),
        (1024, None, None),
    ],
    ids=str,
)
def test_kernels_allocate_nothing_unseen_at_full_size(
    length: int, chunk_size: int | None, storage: PairStorage | None
) -> None:
    check_against_allocator(length, chunk_size, storage)


def check_against_allocator(length: int, chunk_size: int | None, storage: PairStorage | None = None) -> None:
    """The ledger's peak is the allocator's within 2 %: no kernel makes a large copy inside itself."""
    model, given, tiling = one_block(), random_record(length), Tiling(chunk_size)

    def fold() -> object:
        return fold_batch(model, [given], num_recycles=int(length <= 256), tiling=tiling, storage=storage)

    allocated = allocator_peak_bytes(fold)
    with Ledger() as ledger:
        fold()
    assert ledger.peak_bytes == pytest.approx(allocated, rel=0.02)
