"""Peak live bytes above the weights, in U: one pair tensor, 512 L^2 bytes at ESMFold v1's width."""

from __future__ import annotations

from functools import cache
from unittest.mock import patch

import numpy as np
import pytest
import torch
from torch._subclasses import FakeTensorMode
from transformers import EsmForProteinFolding
from transformers.models.esm import modeling_esmfold

from lowmem_fold.bench.models import esmfold_v1_config, random_model
from lowmem_fold.esmfold.engine import FoldInput, fold_batch
from lowmem_fold.esmfold.tiles import Tiling, sampled_tiles, tiles
from lowmem_fold.memory.allocator import allocator_peak_bytes
from lowmem_fold.memory.fake import fake_tensors
from lowmem_fold.memory.ledger import Ledger


def unit(length: int) -> int:
    return 512 * length**2


@cache
def fake_model() -> tuple[FakeTensorMode, EsmForProteinFolding]:
    """ESMFold v1's dimensions without its bytes; two layers and two blocks stand for 36 and 48."""
    with fake_tensors() as mode:
        model = EsmForProteinFolding(esmfold_v1_config(stem_layers=2, trunk_blocks=2)).eval()
        fold_batch(model, [record(2)])  # makes the tables of ideal residues, which stay with the model as weights do
    return mode, model


def record(length: int, linker: slice = slice(0)) -> FoldInput:
    chain_index = np.zeros(length, dtype=np.int64)
    chain_index[linker.stop :] = 1 if linker.stop else 0
    chain_index[linker] = -1
    return FoldInput(torch.zeros(length, dtype=torch.long), torch.arange(length), chain_index)


def peak_bytes(length: int, *, num_recycles: int = 1, tiling: Tiling | None = None, **options) -> int:
    """From tokens to the output with PAE, on fake tensors."""
    mode, model = fake_model()
    with fake_tensors(mode), Ledger() as ledger:
        fold_batch(model, [record(length, **options)], num_recycles=num_recycles, tiling=tiling)
    return ledger.peak_bytes


@pytest.mark.parametrize(("length", "limit"), [(1024, 2.15), (2048, 2.10), (4096, 2.10)])
def test_peak_at_full_width(length: int, limit: float) -> None:
    with sampled_tiles():
        assert 2 * unit(length) < peak_bytes(length) <= limit * unit(length)


def test_peak_of_a_complex_is_no_higher() -> None:
    with sampled_tiles():
        assert peak_bytes(1024, linker=slice(500, 525)) <= 2.15 * unit(1024)


def test_stock_by_the_same_ruler() -> None:
    """Stock with chunk_size 64 holds 13.6 pair tensors."""
    mode, model = fake_model()
    length = 1024
    model.trunk.set_chunk_size(64)
    no_maximum = lambda logits, **_: logits.new_zeros(())  # noqa: E731 - its `nonzero` has no size on fake tensors
    with fake_tensors(mode), torch.no_grad(), patch.object(modeling_esmfold, "compute_tm", no_maximum), Ledger() as ledger:
        model(torch.zeros(1, length, dtype=torch.long), num_recycles=1)
    assert ledger.peak_bytes / unit(length) == pytest.approx(13.6, abs=0.1)


@pytest.mark.parametrize("chunk_size", [7, 16, None])
@pytest.mark.parametrize("linker", [slice(0), slice(50, 75)], ids=["chain", "complex"])
def test_sampled_tiles_have_the_peak_of_all(chunk_size: int | None, linker: slice) -> None:
    tiling = Tiling(chunk_size, budget_bytes=2**20, cache_bytes=2**19)
    full = peak_bytes(129, tiling=tiling, linker=linker)
    with sampled_tiles():
        assert peak_bytes(129, tiling=tiling, linker=linker) == full


def test_sampling_skips_tiles() -> None:
    with sampled_tiles():
        assert list(tiles(100, 16)) == [slice(0, 16), slice(16, 32), slice(96, 100)]
    assert len(list(tiles(100, 16))) == 7


def test_recycles_do_not_add() -> None:
    """From the first recycle on."""
    with sampled_tiles():
        assert peak_bytes(512, num_recycles=1) == peak_bytes(512, num_recycles=3)


def test_budget_is_a_ceiling() -> None:
    """Of the temporaries of triangle multiplication, where the peak is; what grows with L alone takes 28 U / L."""
    length = 1024
    with sampled_tiles():
        for budget in (2**23, 2**24, 2**25, 2**26):
            peak = peak_bytes(length, tiling=Tiling(budget_bytes=budget))
            assert peak <= 2 * unit(length) + 28 * unit(length) / length + budget + Tiling().cache_bytes, budget
        assert peak_bytes(length, tiling=Tiling(chunk_size=8)) < peak_bytes(length, tiling=Tiling(chunk_size=64))


@cache
def one_block() -> EsmForProteinFolding:
    return random_model(esmfold_v1_config(stem_layers=1, trunk_blocks=1))


@pytest.mark.parametrize(
    ("length", "chunk_size"), [(256, None), (256, 4), (256, 16), (256, 64), (512, None), (512, 32)], ids=str
)
def test_kernels_allocate_nothing_unseen(length: int, chunk_size: int | None) -> None:
    """The ledger's peak is the allocator's within 2 %: no kernel makes a large copy inside itself."""
    model, given, tiling = one_block(), record(length), Tiling(chunk_size)

    def fold() -> object:
        return fold_batch(model, [given], num_recycles=1, tiling=tiling)

    allocated = allocator_peak_bytes(fold)
    with Ledger() as ledger:
        fold()
    assert ledger.peak_bytes == pytest.approx(allocated, rel=0.02)
