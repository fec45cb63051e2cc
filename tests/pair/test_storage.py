"""The engine with pair state and triangle operand in half precision.

Models are in float64 where two results have to be equal: there the order of sums decides no rounding to half precision.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from unittest.mock import patch

import pytest
import torch
from torch import Tensor
from transformers import EsmForProteinFolding

from lowmem_fold.bench.fidelity import difference, differences, named, ours, stock
from lowmem_fold.bench.models import random_model, small_config
from lowmem_fold.errors import InputError
from lowmem_fold.esmfold.engine import _check_range, fold_batch
from lowmem_fold.esmfold.published import esmfold_v1_config, random_record
from lowmem_fold.pair.storage import PairStorage, widened
from lowmem_fold.pair.tiles import Tiling
from tests.models import small_model

BF16, FP16 = torch.bfloat16, torch.float16
STORAGES = {
    "bf16": PairStorage(BF16, BF16),
    "fp16": PairStorage(FP16, FP16),
    "bf16 operand": PairStorage(operand=BF16),
    "fp16 operand": PairStorage(operand=FP16),
    "bf16 state": PairStorage(state=BF16),
    "bf16 state, fp16 operand": PairStorage(BF16, FP16),
}
every_storage = pytest.mark.parametrize("storage", STORAGES.values(), ids=STORAGES.keys())
both_halves = pytest.mark.parametrize("dtype", [BF16, FP16], ids=str)


@every_storage
@pytest.mark.parametrize("num_recycles", [0, 2])
@pytest.mark.parametrize("length", [1, 7, 33])
def test_equals_stock_that_rounds(length: int, num_recycles: int, storage: PairStorage) -> None:
    """Once after each update, and nowhere else."""
    model, record = small_model(torch.float64), random_record(length, seed=length)
    with rounding(model, storage):
        expected = stock(model, record, num_recycles)
    found = ours(model, record, num_recycles, storage=storage)
    assert max(differences(found, expected).values()) < 1e-7
    if length > 1:  # the comparison sees the rounding
        assert difference(found.pair_state, ours(model, record, num_recycles).pair_state) > 1e-5


@contextmanager
def rounding(model: EsmForProteinFolding, storage: PairStorage) -> Iterator[None]:
    """Stock's pair state, made after each addition to it what the dtype can hold; and its triangle operands."""
    with ExitStack() as stack:
        hook = model.trunk.blocks[0].register_forward_pre_hook(
            lambda _, args: (args[0], rounded(args[1], storage.state), *args[2:])
        )
        stack.callback(hook.remove)
        for block in model.trunk.blocks:
            _round_block(block, storage, stack)
        yield


def _round_block(block: torch.nn.Module, storage: PairStorage, stack: ExitStack) -> None:
    entered = []

    def update(_: torch.nn.Module, args: tuple[Tensor, ...], out: Tensor) -> Tensor:
        """What has to be added to z so that it is the rounded sum."""
        z = args[0] if args[0].ndim == 4 else entered[-1]
        return rounded(z + out, storage.state) - z

    hooks = [
        block.pair_to_sequence.register_forward_pre_hook(lambda _, args: entered.append(args[0])),
        block.mlp_pair.register_forward_hook(lambda _, __, out: rounded(out, storage.state)),
    ]
    for name in ("sequence_to_pair", "tri_mul_out", "tri_mul_in", "tri_att_start", "tri_att_end"):
        hooks.append(getattr(block, name).register_forward_hook(update))
    for hook in hooks:
        stack.callback(hook.remove)
    for module in (block.tri_mul_out, block.tri_mul_in):
        stack.enter_context(patch.object(module, "_combine_projections", _rounding_product(module, storage.operand)))


def _rounding_product(module: torch.nn.Module, dtype: torch.dtype | None):
    product = module._combine_projections
    return lambda a, b: product(*(_rounded_mantissa(operand, dtype) for operand in (a, b)))


def rounded(x: Tensor, dtype: torch.dtype | None) -> Tensor:
    return x if dtype is None else x.to(dtype).to(x.dtype)


def _rounded_mantissa(x: Tensor, dtype: torch.dtype | None) -> Tensor:
    """Rounded to the digits of the dtype, as if its range had no ends. By way of float32, as torch converts float64."""
    if dtype is None:
        return x
    half_ulp = torch.finfo(dtype).eps / 2
    mantissa, exponent = torch.frexp(x.float())
    return torch.ldexp((mantissa / half_ulp).round() * half_ulp, exponent).to(x.dtype)


@every_storage
@pytest.mark.parametrize("tiling", [Tiling(1), Tiling(5), Tiling(200), Tiling(None, 1, 1)], ids=str)
def test_block_height_does_not_matter(tiling: Tiling, storage: PairStorage) -> None:
    model, record = small_model(torch.float64), random_record(67)
    found, expected = (ours(model, record, 1, storage=storage, tiling=each) for each in (tiling, None))
    assert max(differences(found, expected).values()) < 1e-9


@both_halves
def test_batch_equals_one_at_a_time(dtype: torch.dtype) -> None:
    model, storage = small_model(torch.float64), PairStorage(dtype, dtype)
    records = [random_record(length, seed=length) for length in (31, 1, 12, 70)]
    outputs = fold_batch(model, records, num_recycles=2, storage=storage, keep_pair_state=True, keep_distogram=True)
    for record, output in zip(records, outputs, strict=True):
        assert max(differences(named(output), ours(model, record, 2, storage=storage)).values()) < 1e-9


@pytest.mark.parametrize(("dtype", "tolerance"), [(BF16, 2**-6), (FP16, 2**-9)], ids=str)
def test_close_to_float32(dtype: torch.dtype, tolerance: float) -> None:
    """At full width in float32, as it is used: some units of the last place of the largest number."""
    model, record = random_model(esmfold_v1_config(stem_layers=1, trunk_blocks=1)), random_record(40)
    expected = ours(model, record, 0)
    for storage in (PairStorage(dtype, dtype), PairStorage(operand=dtype)):
        found = ours(model, record, 0, storage=storage)
        for name in ("pair_state", "distogram", "pae", "plddt"):
            assert difference(getattr(found, name), getattr(expected, name)) < tolerance, name


def test_float32_by_name_is_the_default() -> None:
    model, record = small_model(), random_record(33)
    found = ours(model, record, 1, storage=PairStorage(torch.float32, torch.float32))
    assert max(differences(found, ours(model, record, 1)).values()) == 0


@both_halves
def test_only_the_pair_state_is_half(dtype: torch.dtype) -> None:
    found = ours(small_model(), random_record(9), 1, storage=PairStorage(dtype, dtype))
    assert {name for name, value in vars(found).items() if value.dtype == dtype} == {"pair_state"}
    assert all(value.dtype == torch.float32 for name, value in vars(found).items() if name != "pair_state")


def test_pair_state_beyond_float16_is_an_error() -> None:
    """And says what to use instead; bfloat16 holds the same fold."""
    model, records = random_model(small_config()), [random_record(7), random_record(12)]
    model.trunk.blocks[-1].mlp_pair.mlp[3].bias[5] += 1e5
    with pytest.raises(InputError, match=r"7 residues does not fit float16.*bfloat16"):
        fold_batch(model, records, storage=PairStorage(FP16, FP16))
    for output in fold_batch(model, records, storage=PairStorage(BF16, BF16)):
        assert output.structure.state.isfinite().all()


@pytest.mark.parametrize("bad", [1, 12], ids=["one number", "all"])
def test_a_state_that_is_finite_in_part_is_an_error_too(bad: int) -> None:
    state = torch.zeros(3, 4)
    state.view(-1)[:bad] = float("inf")
    structure = SimpleNamespace(state=state)
    with pytest.raises(InputError, match="3 residues does not fit float16"):
        _check_range(torch.zeros(3, 3, 2, dtype=FP16), structure)
    _check_range(torch.zeros(3, 3, 2, dtype=BF16), structure)


@pytest.mark.parametrize("dtype", [torch.float32, BF16], ids=str)
def test_widened_rows(dtype: torch.dtype) -> None:
    """Contiguous and of the wanted dtype; a view where they are so already."""
    z = torch.randn(5, 5, 3).to(dtype)
    for rows in (z[1:3], z.transpose(0, 1)[1:3]):
        found = widened(rows, torch.float32)
        assert found.is_contiguous() and found.dtype == torch.float32 and torch.equal(found, rows.float())
    assert (widened(z[1:3], dtype).data_ptr() == z[1:3].data_ptr()) and widened(z, torch.float64).dtype == torch.float64
