"""Updates of the pair state, each added into it in place, a block of rows at a time.

The pair state `z` has the shape (L, L, C). A function here never holds a second tensor of that size, but for the one
operand of triangle multiplication. "Incoming" and "ending" updates are the "outgoing" and "starting" ones of the
transposed pair state, so one function serves both; `z` may therefore be a transposed view.

Formulas: AlphaFold 2 supplement, algorithms 10 to 15, with the changes of ESMFold. Widths and heads are read off the
weights.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .tiles import Tiling, tiles

__all__ = ["pair_bias", "pair_transition", "sequence_to_pair", "triangle_attention", "triangle_multiplication"]


def normalised(z_rows: Tensor, norm: nn.LayerNorm) -> Tensor:
    """LayerNorm of a block of rows (n, L, C) as a matrix (n * L, C). The copy of a transposed block is made here, where
    it can be seen, and not within a kernel."""
    return norm(z_rows.contiguous()).view(-1, z_rows.shape[-1])


def channels_first(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Linear layer of x (n, C_in) written as (C_out, n): the matrix product transposes for free."""
    return weight @ x.t() if bias is None else torch.addmm(bias[:, None], weight, x.t())


def pair_bias(z_rows: Tensor, norm: nn.LayerNorm, weight: Tensor) -> Tensor:
    """Attention bias (heads, n, L) of the rows (n, L, C) of the pair state; `weight` is (heads, C)."""
    return channels_first(normalised(z_rows, norm), weight).view(-1, *z_rows.shape[:2])


def triangle_multiplication(z: Tensor, module: nn.Module, tiling: Tiling, *, incoming: bool) -> None:
    """Triangle multiplication: z[i, j] += gate * linear(norm(sum_k a[i, k] b[j, k])), or, incoming, a[k, i] b[k, j].

    The operand that every row needs is projected whole, (C, L, L): the one extra tensor. The other comes from the rows
    at hand, which nothing has changed yet.
    """
    whole, block = (module.linear_b_p, module.linear_b_g), (module.linear_a_p, module.linear_a_g)
    if incoming:
        z, whole, block = z.transpose(0, 1), block, whole
    length, channels = z.shape[1:]
    operand = z.new_empty(channels, length, length)
    _project(operand, z, module.layer_norm_in, *whole, tiling)
    operand = operand.transpose(1, 2)
    for block_rows in tiles(length, tiling.height(length, 2 * channels, z.element_size(), product=True)):
        z_block = z[block_rows]
        left = z.new_empty(channels, len(z_block), length)
        _project(left, z_block, module.layer_norm_in, *block, tiling)
        product = torch.bmm(left, operand)
        del left
        _add_gated(z_block, product, module, tiling)
        del product


def _project(out: Tensor, z: Tensor, norm: nn.LayerNorm, linear: nn.Linear, gate: nn.Linear, tiling: Tiling) -> None:
    """Writes sigmoid(gate(x)) * linear(x), with x = norm(z) of the rows z (n, L, C), into `out` (C, n, L)."""
    count, length, channels = z.shape
    for rows in tiles(count, tiling.height(length, 4 * channels, z.element_size())):
        x = normalised(z[rows], norm)
        gated = channels_first(x, gate.weight, gate.bias).sigmoid_()
        gated.mul_(channels_first(x, linear.weight, linear.bias))
        out[:, rows] = gated.view(channels, -1, length)
        del x, gated


def _add_gated(z: Tensor, product: Tensor, module: nn.Module, tiling: Tiling) -> None:
    """z += gate(norm_in(z)) * linear(norm_out(product)) for rows z (n, L, C) and their product (C, n, L)."""
    count, length, channels = z.shape
    for rows in tiles(count, tiling.height(length, 4 * channels, z.element_size())):
        gate = module.linear_g(normalised(z[rows], module.layer_norm_in)).sigmoid_()
        x = product[:, rows].permute(1, 2, 0).contiguous()
        update = module.linear_z(module.layer_norm_out(x).view(-1, channels))
        del x
        z[rows] += update.mul_(gate).view(-1, length, channels)
        del gate, update


def triangle_attention(z: Tensor, module: nn.Module, tiling: Tiling, *, ending: bool) -> None:
    """Triangle attention around the starting node (over the rows of z), or around the ending node (over its columns).

    The bias of all pairs, (heads, L, L), is read off z first; it is written in the orientation in which it is used.
    """
    if ending:
        z = z.transpose(0, 1)
    length, channels = z.shape[1:]
    mha, heads = module.mha, module.mha.no_heads
    height = tiling.height(length, 7 * channels, z.element_size())
    # Rows of a multiple of 16: CUDA's memory-efficient kernel would else copy the bias, once for each row of the block.
    bias = z.new_empty(heads, length, -(-length // 16) * 16)[:, :, :length]
    for rows in tiles(length, height):
        bias[:, rows] = pair_bias(z[rows], module.layer_norm, module.linear.weight)
    projections = torch.cat([mha.linear_q.weight, mha.linear_k.weight, mha.linear_v.weight, mha.linear_g.weight])
    for rows in tiles(length, height):
        x = F.linear(normalised(z[rows], module.layer_norm), projections).view(-1, length, 4, heads, channels // heads)
        q, k, v = x[:, :, :3].permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None]).transpose(1, 2)
        gate = x[:, :, 3].reshape(-1, channels).add_(mha.linear_g.bias).sigmoid_()
        del x, q, k, v
        update = mha.linear_o(gate.mul_(attended.reshape(-1, channels)))
        z[rows] += update.view(-1, length, channels)
        del attended, gate, update


def pair_transition(z: Tensor, mlp: nn.Sequential, tiling: Tiling) -> None:
    """z += W2 relu(W1 norm(z)): the pair MLP."""
    norm, up, down = mlp[0], mlp[1], mlp[3]
    length, channels = z.shape[1:]
    for rows in tiles(length, tiling.height(length, 2 * channels + up.out_features, z.element_size())):
        hidden = up(normalised(z[rows], norm)).relu_()
        z[rows].view(-1, channels).add_(down.bias).addmm_(hidden, down.weight.t())
        del hidden


def sequence_to_pair(z: Tensor, s: Tensor, module: nn.Module, tiling: Tiling) -> None:
    """z[i, j] += W [q_j * k_i, q_j - k_i] + b, with q, k from the sequence state s (L, C_s).

    The difference is linear, so its half of W is applied to q and k alone.
    """
    length, channels = z.shape[1:]
    q, k = module.proj(module.layernorm(s)).chunk(2, dim=-1)
    of_product, of_difference = module.o_proj.weight.chunk(2, dim=-1)
    along_columns = F.linear(q, of_difference, module.o_proj.bias)
    along_rows = F.linear(k, of_difference)
    for rows in tiles(length, tiling.height(length, 2 * channels, z.element_size())):
        product = (k[rows, None] * q).view(-1, q.shape[-1])
        z_rows = z[rows]
        z_rows.view(-1, channels).addmm_(product, of_product.t())
        z_rows.add_(along_columns).sub_(along_rows[rows, None])
        del product
