"""Confidence from the pair state, row by row: predicted aligned error, TM terms, distogram; pLDDT per atom.

Formulas: AlphaFold 2 supplement, section 1.9.7; AlphaFold-Multimer, section 2.6. Only what was asked for is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ..pair.storage import widened
from ..pair.tiles import Tiling, tiles

__all__ = ["AlignedError", "aligned_error", "distogram_logits", "max_aligned_error", "plddt"]

MAX_BIN = 31.0  # upper edge, in Angstrom, of the last bin but one of the aligned error


@dataclass(frozen=True)
class AlignedError:
    """What the pTM head says of R residues in K chains.

    tm_by_chain: (R, K); [i, c] is the sum over the residues j of chain c of the expected TM term of j, aligned on i.
    pae: (R, R) expected aligned error in Angstrom, [i, j] the error of j aligned on i; or None.
    """

    tm_by_chain: Tensor
    pae: Tensor | None


def bin_centers(bins: int, device: torch.device) -> Tensor:
    """Centres (bins,) of the aligned error's bins in Angstrom; the last is open."""
    boundaries = torch.linspace(0, MAX_BIN, steps=bins - 1, device=device)
    step = boundaries[1] - boundaries[0]
    centers = boundaries + step / 2
    return torch.cat([centers, (centers[-1] + step).unsqueeze(-1)])


def max_aligned_error(bins: int) -> float:
    """Centre of the last bin, in Angstrom: the largest error that the head can state; 31.75 with 64 bins."""
    return MAX_BIN + 1.5 * MAX_BIN / (bins - 2)


def aligned_error(
    head: nn.Linear, z: Tensor, chain_index: np.ndarray, tiling: Tiling, *, keep_pae: bool
) -> AlignedError:
    """Aligned error of the pair state z (L, L, C). Residues whose chain_index (L,) is negative, the linker, count
    nowhere: neither as rows, nor as columns, nor in the length that scales the TM term."""
    real = np.flatnonzero(chain_index >= 0)
    count, has_linker = len(real), len(real) < len(chain_index)
    dtype = head.bias.dtype  # z may be stored in less
    columns = torch.tensor(real, device=z.device)
    members = torch.tensor(np.eye(chain_index.max() + 1)[chain_index[real]], dtype=dtype, device=z.device)
    centers = bin_centers(head.out_features, z.device)
    d0 = 1.24 * (max(count, 19) - 15) ** (1.0 / 3) - 1.8
    tm_terms = (1.0 / (1 + centers**2 / d0**2)).to(dtype)
    centers = centers.to(dtype)
    tm_by_chain = z.new_empty(count, members.shape[1], dtype=dtype)
    pae = z.new_empty(count, count, dtype=dtype) if keep_pae else None
    for rows in tiles(count, tiling.height(len(z), z.shape[-1] + 3 * head.out_features, dtype.itemsize)):
        z_rows = z[columns[rows]][:, columns] if has_linker else z[rows]
        probabilities = head(widened(z_rows, dtype)).softmax(-1)
        del z_rows
        tm_by_chain[rows] = (probabilities @ tm_terms) @ members
        if pae is not None:
            pae[rows] = probabilities @ centers
        del probabilities
    return AlignedError(tm_by_chain, pae)


def distogram_logits(head: nn.Linear, z: Tensor, tiling: Tiling) -> Tensor:
    """Logits (L, L, bins) of the distance of CB atoms, symmetrised. As large as half a pair tensor: for comparisons."""
    length, dtype = len(z), head.bias.dtype
    logits = z.new_empty(length, length, head.out_features, dtype=dtype)
    for rows in tiles(length, tiling.height(length, 2 * z.shape[-1], dtype.itemsize)):
        of_rows, of_columns = (head(widened(block, dtype)) for block in (z[rows], z[:, rows].transpose(0, 1)))
        torch.add(of_rows, of_columns, out=logits[rows])
        logits[rows] /= 2
    return logits


def plddt(head: nn.Sequential, state: Tensor, bins: int) -> Tensor:
    """Expected lDDT (L, 37), 0 to 1, of every atom of the residues with the structure module's state (L, C)."""
    edges = torch.linspace(0, 1, bins + 1, device=state.device, dtype=state.dtype)
    centers = (edges[:-1] + edges[1:]) / 2
    return head(state).view(len(state), -1, bins).softmax(-1) @ centers
