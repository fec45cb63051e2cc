"""The pair state's transition, an MLP of each pair, added in place."""

from __future__ import annotations

from torch import Tensor, nn

from .projection import normalised
from .storage import widened
from .tiles import Tiling, tiles

__all__ = ["pair_transition"]


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
