"""The folding trunk: recycling, relative positions and the blocks, on one pair tensor a record."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..pair.storage import widened
from ..pair.tiles import Tiling, tiles
from ..pair.transition import pair_transition
from ..pair.triangle_attention import triangle_attention
from ..pair.triangle_multiplication import triangle_multiplication
from .sequence import update_sequence
from .sequence_to_pair import sequence_to_pair

__all__ = ["distance_bins", "initial_pair_state", "recycle_pair_state", "run_block"]

# Bins of the CB distances that are recycled, as in AlphaFold: edges in Angstrom.
FIRST_EDGE, LAST_EDGE = 3.375, 21.375


def run_block(
    block: nn.Module, s: Tensor, pairs: Sequence[Tensor], tiling: Tiling, operand: torch.dtype | None = None
) -> Tensor:
    """One block: returns the new sequence state (T, C_s), changes each pair state (L, L, C) in place.

    operand: what the operand of triangle multiplication is stored in (`PairStorage`).
    """
    s = update_sequence(s, pairs, block, tiling)
    for z, of_record in zip(pairs, s.split([len(z) for z in pairs]), strict=True):
        sequence_to_pair(z, of_record, block.sequence_to_pair, tiling)
        triangle_multiplication(z, block.tri_mul_out, tiling, operand, incoming=False)
        triangle_multiplication(z, block.tri_mul_in, tiling, operand, incoming=True)
        triangle_attention(z, block.tri_att_start, tiling, ending=False)
        triangle_attention(z, block.tri_att_end, tiling, ending=True)
        pair_transition(z, block.mlp_pair.mlp, tiling)
    return s


def initial_pair_state(
    trunk: nn.Module, residue_index: Tensor, tiling: Tiling, dtype: torch.dtype | None = None
) -> Tensor:
    """Pair state (L, L, C) of the first pass: relative positions on what recycling makes of nothing, which is not zero
    but the norm's bias and the embedding of the first bin.

    dtype: what it is stored in, in all passes (`PairStorage`).
    """
    length = len(residue_index)
    weight = trunk.recycle_disto.weight
    z = weight.new_empty(length, length, weight.shape[1], dtype=dtype)
    for rows in tiles(length, tiling.height(length, 2 * z.shape[-1], weight.element_size())):
        torch.add(trunk.recycle_z_norm.bias + weight[0], _relative_positions(trunk, residue_index, rows), out=z[rows])
    return z


def recycle_pair_state(trunk: nn.Module, z: Tensor, backbone: Tensor, residue_index: Tensor, tiling: Tiling) -> None:
    """Turns the pair state (L, L, C) of one pass into the input of the next, in place.

    backbone: (L, 3, 3) positions of N, CA and C in Angstrom from the pass before.
    """
    beta = virtual_beta(backbone)
    dtype = trunk.recycle_z_norm.weight.dtype
    for rows in tiles(len(z), tiling.height(len(z), 3 * z.shape[-1], dtype.itemsize)):
        normed = trunk.recycle_z_norm(widened(z[rows], dtype))
        normed += trunk.recycle_disto(distance_bins(beta, rows, trunk.recycle_bins))
        torch.add(normed, _relative_positions(trunk, residue_index, rows), out=z[rows])
        del normed


def _relative_positions(trunk: nn.Module, residue_index: Tensor, rows: slice) -> Tensor:
    """Embedding (n, L, C) of the clamped difference of residue numbers; index 0 is for padding, unused here."""
    module = trunk.pairwise_positional_embedding
    difference = (residue_index - residue_index[rows, None]).clamp_(-module.bins, module.bins)
    return module.embedding(difference.add_(module.bins + 1))


def virtual_beta(backbone: Tensor) -> Tensor:
    """Ideal CB positions (L, 3) from N, CA and C (L, 3, 3)."""
    n, ca, c = backbone.unbind(-2)
    b, c = ca - n, c - ca
    a = b.cross(c, dim=-1)
    return -0.58273431 * a + 0.56802827 * b - 0.54067466 * c + ca


def distance_bins(beta: Tensor, rows: slice, bins: int) -> Tensor:
    """Bin (n, L) of the distance from the residues `rows` to all others; beta (L, 3) in Angstrom."""
    edges = torch.linspace(FIRST_EDGE, LAST_EDGE, bins - 1, device=beta.device) ** 2
    squared = (beta - beta[rows, None]).pow(2).sum(dim=-1)
    return torch.bucketize(squared, edges.to(squared.dtype))
