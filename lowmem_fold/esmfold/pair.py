"""Updates of the pair state, each added into it in place, a block of rows at a time.

The pair state `z` has the shape (L, L, C). A function here never holds a second tensor of that size: the one update
that does is in `triangle_multiplication`.

`z` may be stored in half precision. A block of rows is then widened to the dtype of the norms' weights, float32, in
which everything is computed, and rounded once, when it is stored: in-place additions of float32 do so too. The weights
of linear layers may be kept in another form, which is unpacked whenever `weight` is read: read it outside loops.

Formulas: AlphaFold 2 supplement, algorithms 10 to 15, with the changes of ESMFold. Widths and heads are read off the
weights.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..pair.storage import widened
from ..pair.tiles import Tiling, tiles

__all__ = [
    "channels_first",
    "normalised",
    "pair_bias",
    "pair_transition",
    "sequence_to_pair",
    "triangle_attention",
]


def normalised(z_rows: Tensor, norm: nn.LayerNorm) -> Tensor:
    """LayerNorm of a block of rows (n, L, C) as a matrix (n * L, C). The copy of a transposed block is made here, where
    it can be seen, and not within a kernel."""
    return norm(widened(z_rows, norm.weight.dtype)).view(-1, z_rows.shape[-1])


def channels_first(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Linear layer of x (n, C_in) written as (C_out, n): the matrix product transposes for free."""
    weight = weight.to(x.dtype)
    return weight @ x.t() if bias is None else torch.addmm(bias[:, None], weight, x.t())


def pair_bias(z_rows: Tensor, norm: nn.LayerNorm, weight: Tensor) -> Tensor:
    """Attention bias (heads, n, L) of the rows (n, L, C) of the pair state; `weight` is (heads, C)."""
    return channels_first(normalised(z_rows, norm), weight).view(-1, *z_rows.shape[:2])


def triangle_attention(z: Tensor, module: nn.Module, tiling: Tiling, *, ending: bool) -> None:
    """Triangle attention around the starting node (over the rows of z), or around the ending node (over its columns).

    The bias of all pairs, (heads, L, L), is read off z first; it is written in the orientation in which it is used.
    Ending is starting on the transposed pair state. Bias and attention are float32 also where z is stored in less: a
    rounded logit is a wrong factor after the softmax, and half of the bias is but 1/64 of a pair tensor.
    """
    if ending:
        z = z.transpose(0, 1)
    length, channels = z.shape[1:]
    mha, heads, dtype = module.mha, module.mha.no_heads, module.layer_norm.weight.dtype
    height = tiling.height(length, 7 * channels, dtype.itemsize)
    # Rows of a multiple of 16: CUDA's memory-efficient kernel would else copy the bias, once for each row of the block.
    bias = z.new_empty(heads, length, -(-length // 16) * 16, dtype=dtype)[:, :, :length]
    weight = module.linear.weight
    for rows in tiles(length, height):
        bias[:, rows] = pair_bias(z[rows], module.layer_norm, weight)
    layers = (mha.linear_q, mha.linear_k, mha.linear_v, mha.linear_g)
    projections = torch.cat([layer.weight for layer in layers]).to(dtype)
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
    dtype = norm.weight.dtype
    weight = down.weight.to(dtype).t()
    length, channels = z.shape[1:]
    for rows in tiles(length, tiling.height(length, 2 * channels + up.out_features, dtype.itemsize)):
        hidden = up(normalised(z[rows], norm)).relu_()
        z_rows = widened(z[rows], dtype)
        z_rows.view(-1, channels).add_(down.bias).addmm_(hidden, weight)
        z[rows] = z_rows  # a view of the same, which is not copied, if z has the dtype
        del hidden, z_rows


def sequence_to_pair(z: Tensor, s: Tensor, module: nn.Module, tiling: Tiling) -> None:
    """z[i, j] += W [q_j * k_i, q_j - k_i] + b, with q, k from the sequence state s (L, C_s).

    The difference is linear, so its half of W is applied to q and k alone.
    """
    length, channels = z.shape[1:]
    q, k = module.proj(module.layernorm(s)).chunk(2, dim=-1)
    of_product, of_difference = module.o_proj.weight.to(q.dtype).chunk(2, dim=-1)
    along_columns = F.linear(q, of_difference, module.o_proj.bias)
    along_rows = F.linear(k, of_difference)
    for rows in tiles(length, tiling.height(length, 2 * channels, q.element_size())):
        product = (k[rows, None] * q).view(-1, q.shape[-1])
        z_rows = widened(z[rows], q.dtype)
        z_rows.view(-1, channels).addmm_(product, of_product.t())
        z_rows.add_(along_columns).sub_(along_rows[rows, None])
        z[rows] = z_rows  # as in `pair_transition`
        del product, z_rows
