"""Triangle multiplication, in place: the one update that holds another tensor as large as the pair state, its operand.

Formulas: AlphaFold 2 supplement, algorithms 11 and 12.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .projection import channels_first, normalised
from .tiles import Tiling, tiles

__all__ = ["triangle_multiplication"]

# A float32 result of half precision operands: cuBLAS has it, from torch 2.8 on; hipBLAS and other devices do not.
HAS_FLOAT32_PRODUCT = torch.version.cuda is not None and "dtype" in torch.ops.aten.bmm.overloads()


def triangle_multiplication(
    z: Tensor, module: nn.Module, tiling: Tiling, operand_dtype: torch.dtype | None = None, *, incoming: bool
) -> None:
    """Triangle multiplication: z[i, j] += gate * linear(norm(sum_k a[i, k] b[j, k])), or, incoming, a[k, i] b[k, j].

    The operand that every row needs is projected whole, (C, L, L): the one extra tensor. The other comes from the rows
    at hand, which nothing has changed yet. Incoming is outgoing on the transposed pair state, with a and b exchanged.

    operand_dtype: what both are stored in; by default what they are computed in.
    """
    of_whole, of_block = (module.linear_b_p, module.linear_b_g), (module.linear_a_p, module.linear_a_g)
    if incoming:
        z, of_whole, of_block = z.transpose(0, 1), of_block, of_whole
    length, channels = z.shape[1:]
    computed_in = module.layer_norm_in.weight.dtype
    dtype = operand_dtype or computed_in
    whole, block = (Projection.of(module.layer_norm_in, *layers, dtype) for layers in (of_whole, of_block))
    operand = z.new_empty(channels, length, length, dtype=dtype)
    _project(operand, z, whole, tiling)
    for block_rows in tiles(length, tiling.height(length, 2 * channels, computed_in.itemsize, product=True)):
        z_block = z[block_rows]
        left = z.new_empty(channels, len(z_block), length, dtype=dtype)
        _project(left, z_block, block, tiling)
        product = _product(left, operand, computed_in)
        del left
        if whole.scale is not None and block.scale is not None:
            product /= (whole.scale * block.scale)[:, None]  # powers of two: nothing is rounded
        _add_gated(z_block, product, module, tiling)
        del product


@dataclass(frozen=True)
class Projection:
    """sigmoid(gate(x)) * linear(x) with x = norm(z), times `scale` (C, 1) if there is one: it is in the linear layer.

    Without it a projection may leave float16's range, 2^-14 to 2^16, at either end. The scale is no matter of the data:
    the output of a norm is no longer than the root of C, so that the weights bound each channel, and the scale brings
    that bound to between 2^14 and 2^15. It is a power of two, so that it rounds nothing and is undone exactly; the norm
    after the product would not undo it, as it adds its epsilon to the variance.
    """

    norm: nn.LayerNorm
    weight: Tensor
    bias: Tensor
    gate_weight: Tensor
    gate_bias: Tensor
    scale: Tensor | None

    @classmethod
    def of(cls, norm: nn.LayerNorm, linear: nn.Linear, gate: nn.Linear, dtype: torch.dtype) -> Projection:
        """dtype: what the result is stored in; only half precision is scaled."""
        weight, bias = linear.weight.to(norm.weight.dtype), linear.bias
        if dtype == norm.weight.dtype:
            return cls(norm, weight, bias, gate.weight, gate.bias, None)
        scale = 2**15 / _power_of_two_above(_bound(norm, weight, bias))[:, None]
        return cls(norm, weight * scale, bias * scale[:, 0], gate.weight, gate.bias, scale)


def _bound(norm: nn.LayerNorm, weight: Tensor, bias: Tensor) -> Tensor:
    """The most (C_out,) that linear(norm(z)) can be, whatever z is; by Cauchy and Schwarz."""
    return len(norm.weight) ** 0.5 * (weight * norm.weight).norm(dim=1) + (weight @ norm.bias + bias).abs()


def _power_of_two_above(x: Tensor) -> Tensor:
    """The least power of two above each x, which is not negative."""
    # The bits of float32 without those of the mantissa; log2 and exp2 round, and MPS has no frexp.
    floor = (x.float().clamp_min(1e-30).view(torch.int32) & 0x7F800000).view(torch.float32)
    return 2 * floor.to(x.dtype)


def _project(out: Tensor, z: Tensor, projection: Projection, tiling: Tiling) -> None:
    """Writes the projection of the rows z (n, L, C) into `out` (C, n, L)."""
    count, length, channels = z.shape
    p = projection
    for rows in tiles(count, tiling.height(length, 4 * channels, p.weight.element_size())):
        x = normalised(z[rows], p.norm)
        gated = channels_first(x, p.gate_weight, p.gate_bias).sigmoid_()
        gated.mul_(channels_first(x, p.weight, p.bias))
        out[:, rows] = gated.view(channels, -1, length)
        del x, gated


def _product(left: Tensor, operand: Tensor, dtype: torch.dtype) -> Tensor:
    """sum_k left[c, i, k] operand[c, j, k], summed and returned in `dtype`: (C, n, L) of (C, n, L) and (C, L, L).

    Half precision is widened a few channels at a time where there is no product of it with a float32 result.
    """
    # Measured on one core of a CPU with instructions for bfloat16 and none for float16 (128 channels, 64 rows, L=256):
    # float32 14 ms, widened 14 ms, float16's own product 62 ms, bfloat16's own 4 ms. The last rounds the result, which
    # no later sum averages out, and is slow on a CPU without those instructions; so widening serves all of them.
    if left.dtype == dtype:
        return torch.bmm(left, operand.transpose(1, 2))
    if left.is_cuda and HAS_FLOAT32_PRODUCT and dtype == torch.float32:
        return torch.bmm(left, operand.transpose(1, 2), out_dtype=dtype)
    channels, count, length = left.shape
    product = left.new_empty(left.shape, dtype=dtype)
    # As many as fit the bytes that `left` saves: the block's height is that of float32.
    for few in tiles(channels, max(1, channels * count // (2 * length))):
        torch.bmm(left[few].to(dtype), operand[few].to(dtype).transpose(1, 2), out=product[few])
    return product


def _add_gated(z: Tensor, product: Tensor, module: nn.Module, tiling: Tiling) -> None:
    """z += gate(norm_in(z)) * linear(norm_out(product)) for rows z (n, L, C) and their product (C, n, L)."""
    count, length, channels = z.shape
    for rows in tiles(count, tiling.height(length, 4 * channels, product.element_size())):
        gate = module.linear_g(normalised(z[rows], module.layer_norm_in)).sigmoid_()
        x = product[:, rows].permute(1, 2, 0).contiguous()
        update = module.linear_z(module.layer_norm_out(x).view(-1, channels))
        del x
        z[rows] += update.mul_(gate).view(-1, length, channels)
        del gate, update
