"""What the sequence state says to the pair state, added in place."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ..pair.storage import widened
from ..pair.tiles import Tiling, tiles

__all__ = ["sequence_to_pair"]


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
