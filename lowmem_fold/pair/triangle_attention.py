"""Triangle attention, added into the pair state in place."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .projection import normalised, pair_bias
from .tiles import Tiling, tiles

__all__ = ["triangle_attention"]


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
