"""The pair state as a matrix: its norms, and linear layers of it.

The pair state `z` has the shape (L, L, C). No function of this room holds a second tensor of that size, but for the
operand of `triangle_multiplication`: each update is added into `z` in place, a block of rows at a time.

`z` may be stored in half precision. A block of rows is then widened to the dtype of the norms' weights, float32, in
which everything is computed, and rounded once, when it is stored: in-place additions of float32 do so too. The weights
of linear layers may be kept in another form, which is unpacked whenever `weight` is read: read it outside loops.

Formulas: AlphaFold 2 supplement, algorithms 10 to 15, with the changes of ESMFold. Widths and heads are read off the
weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .storage import widened

__all__ = ["channels_first", "normalised", "pair_bias"]


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
