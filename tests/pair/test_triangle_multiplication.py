"""Triangle multiplication whose operands are stored in half precision."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from lowmem_fold.bench.fidelity import difference
from lowmem_fold.bench.models import random_model, small_config
from lowmem_fold.esmfold.trunk import run_block
from lowmem_fold.pair.tiles import Tiling
from lowmem_fold.pair.triangle_multiplication import Projection, _bound, _product, triangle_multiplication

BF16, FP16 = torch.bfloat16, torch.float16
both_halves = pytest.mark.parametrize("dtype", [BF16, FP16], ids=str)
LENGTH, WIDTH = 45, 32  # of the small configuration's pair state


def block(factor: float = 1.0) -> torch.nn.Module:
    """A block of random weights, the operands of its triangle multiplications times `factor`."""
    block = random_model(small_config()).trunk.blocks[0]
    for module in (block.tri_mul_out, block.tri_mul_in):
        for linear in (module.linear_a_p, module.linear_b_p):
            linear.weight *= factor
            linear.bias *= factor
    return block


def states(factor: float = 1.0) -> tuple[Tensor, Tensor]:
    """Sequence state (L, C_s) and pair state (L, L, C), normal times `factor`."""
    generator = torch.Generator().manual_seed(0)
    s, z = torch.randn(LENGTH, 96, generator=generator), torch.randn(LENGTH, LENGTH, WIDTH, generator=generator)
    return factor * s, factor * z


def in_stock(block: torch.nn.Module, s: Tensor, z: Tensor) -> Tensor:
    return block(s[None], z[None], mask=torch.ones(1, LENGTH, dtype=s.dtype))[1][0]


@pytest.mark.parametrize("of_state", [1, 1000])
@pytest.mark.parametrize("of_operands", [2**8, 2**16], ids=["products overflow", "operands overflow"])
@torch.no_grad()
def test_no_overflow_where_stock_has_one(of_operands: float, of_state: float) -> None:
    """In float16 stock's end as NaN. Also where the pair state is thousands, which float16 holds."""
    s, z = states(of_state)
    model = block(of_operands)
    expected = in_stock(model, s, z)
    assert in_stock(copy.deepcopy(model).half(), s.half(), z.half()).isnan().any()
    for found in (z.half(), z.clone()):
        run_block(model, s, [found], Tiling(), FP16)
        assert difference(found.float(), expected) < 2**-9


@both_halves
@pytest.mark.parametrize("incoming", [False, True], ids=["outgoing", "incoming"])
@torch.no_grad()
def test_small_products_stay_small(dtype: torch.dtype, incoming: bool) -> None:
    """Below the epsilon of the norm that follows, which makes of them what they would not be at any other scale."""
    module = getattr(block(2**-8), "tri_mul_in" if incoming else "tri_mul_out")
    _, z = states()
    expected, larger = (
        z + of(z[None])[0] for of in (module, getattr(block(), "tri_mul_in" if incoming else "tri_mul_out"))
    )
    assert difference(larger, expected) > 0.1
    found = z.clone()
    triangle_multiplication(found, module, Tiling(), dtype, incoming=incoming)
    assert difference(found, expected) < 1e-4


@torch.no_grad()
def test_scale_brings_the_bound_below_the_top_of_float16() -> None:
    """By powers of two. The bound is one: rows of z that point along a channel's weights come close to it."""
    module = block(1e-3).tri_mul_out
    norm, linear = module.layer_norm_in, module.linear_a_p
    bound = _bound(norm, linear.weight, linear.bias)
    direction = torch.cat([sign * linear.weight * norm.weight for sign in (-1, 1)])
    reached = linear(norm(100 * direction)).abs().view(2, WIDTH, WIDTH).amax(0).diagonal()
    assert (reached <= bound).all() and (reached > 0.8 * bound).all()
    scale = Projection.of(norm, linear, module.linear_a_g, FP16).scale
    assert scale is not None and (torch.frexp(scale).mantissa == 0.5).all()
    assert (scale[:, 0] * bound < 2**15).all() and (scale[:, 0] * bound >= 2**14).all()


@torch.no_grad()
def test_channel_without_weights_has_a_scale() -> None:
    module = block(0).tri_mul_out
    projection = Projection.of(module.layer_norm_in, module.linear_a_p, module.linear_a_g, FP16)
    assert projection.scale is not None and projection.scale.isfinite().all() and not projection.weight.any()


@both_halves
@pytest.mark.parametrize("rows", [1, 7, 90])
def test_product_is_summed_in_float32(dtype: torch.dtype, rows: int) -> None:
    """And not rounded to half precision."""
    left, operand = torch.randn(12, rows, 90).to(dtype), torch.randn(12, 90, 90).to(dtype)
    found = _product(left, operand, torch.float32)
    assert found.dtype == torch.float32
    assert difference(found.double(), torch.einsum("cik,cjk->cij", left.double(), operand.double())) < 1e-6
