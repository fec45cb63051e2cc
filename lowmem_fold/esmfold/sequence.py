"""The sequence track of the trunk: attention biased by the pair state, and the transition.

Records are packed: their residues follow one another in one matrix (T, C_s), so that a batch needs no padding and no
mask, and the weights, nearly all of the trunk's, are read once for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..pair.projection import pair_bias
from ..pair.tiles import Tiling, tiles

__all__ = ["update_sequence"]


def update_sequence(s: Tensor, pairs: Sequence[Tensor], block: nn.Module, tiling: Tiling) -> Tensor:
    """Sequence state (T, C_s) after one block's attention and transition.

    pairs: the pair state (L, L, C) of each record, in the order in which they are packed in `s`.
    """
    attention = block.seq_attention
    x = block.layernorm_1(s)
    q, k, v = attention.proj(x).view(len(x), attention.num_heads, -1).chunk(3, dim=-1)
    attended = torch.empty_like(x)
    lengths = [len(z) for z in pairs]
    for out, q, k, v, z in zip(*(t.split(lengths) for t in (attended, q, k, v)), pairs, strict=True):  # noqa: B020
        _attend(out.view_as(q), q, k, v, z, block.pair_to_sequence, tiling)
    if attention.gated:
        attended *= attention.g_proj(x).sigmoid_()
    s = attention.o_proj(attended).add_(s)
    del x, q, k, v, attended
    norm, up, _, down, _ = block.mlp_seq.mlp
    return down(up(norm(s)).relu_()).add_(s)


def _attend(out: Tensor, q: Tensor, k: Tensor, v: Tensor, z: Tensor, module: nn.Module, tiling: Tiling) -> None:
    """Writes into `out` the attention of one record, all of the shape (L, heads, width), biased by z (L, L, C)."""
    length, channels = z.shape[1:]
    q, k, v = (t.transpose(0, 1)[None] for t in (q, k, v))
    height = tiling.height(length, channels + 2 * q.shape[1], q.element_size())
    weight = module.linear.weight
    for rows in tiles(length, height):
        bias = pair_bias(z[rows], module.layernorm, weight)
        out[rows] = F.scaled_dot_product_attention(q[:, :, rows], k, v, attn_mask=bias[None])[0].transpose(0, 1)
        del bias
