"""What the large tensors of the trunk are stored in."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["PairStorage", "widened"]


@dataclass(frozen=True)
class PairStorage:
    """Storage dtypes; None is what the trunk computes in, float32. Half precision is bfloat16 or float16.

    state: of the pair state (L, L, C). Each update is computed and added in float32, a block of rows at a time, and
        rounded once, on storing.
    operand: of the operand of triangle multiplication, (C, L, L). Its products are summed in float32.

    A pair state that leaves float16's range (65504) is an error at the end of the pass, not a number: see `Fold`.
    """

    state: torch.dtype | None = None
    operand: torch.dtype | None = None


def widened(rows: Tensor, dtype: torch.dtype) -> Tensor:
    """A block of rows, contiguous and in the dtype that it is computed in: a copy if it is not so already."""
    # Converted and laid out in one pass; the second call copies what has the dtype and not the layout.
    return rows.to(dtype, memory_format=torch.contiguous_format).contiguous()
