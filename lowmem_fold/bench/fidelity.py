"""Stock ESMFold and ours on the same weights and tokens."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..esmfold.engine import FoldInput, FoldOutput, fold_batch

if TYPE_CHECKING:
    from transformers import EsmForProteinFolding

__all__ = ["Compared", "difference", "differences", "named", "ours", "stock"]


@dataclass
class Compared:
    """What both give for one record of L residues, under the same names: pair state (L, L, C) after the trunk, frames
    (L, 7), positions (L, 14, 3), angles (L, 7, 2), pLDDT (L, 37), pTM (), PAE (L, L), distogram logits (L, L, bins)."""

    pair_state: Tensor
    frames: Tensor
    positions: Tensor
    angles: Tensor
    plddt: Tensor
    ptm: Tensor
    pae: Tensor
    distogram: Tensor


def stock(model: EsmForProteinFolding, record: FoldInput, num_recycles: int) -> Compared:
    """The forward pass of transformers."""
    with torch.no_grad():
        o = model(record.aatype[None], position_ids=record.residue_index[None], num_recycles=num_recycles)
    return Compared(
        o.s_z[0],
        o.frames[-1, 0],
        o.positions[-1, 0],
        o.angles[-1, 0],
        o.plddt[0],
        o.ptm,
        o.predicted_aligned_error[0],
        o.distogram_logits[0],
    )


def ours(model: EsmForProteinFolding, record: FoldInput, num_recycles: int, **options: Any) -> Compared:
    """The engine's; options are those of `fold_batch`."""
    options |= {"keep_pair_state": True, "keep_distogram": True}
    return named(fold_batch(model, [record], num_recycles=num_recycles, **options)[0])


def named(o: FoldOutput) -> Compared:
    """The engine's output, kept with pair state, PAE and distogram, under the names of `Compared`."""
    if o.pair_state is None or o.aligned.pae is None or o.distogram_logits is None:
        raise ValueError("the output was folded without its pair state, PAE or distogram")
    ptm = o.aligned.tm_by_chain.sum(1).max() / (1e-8 + len(o.aligned.tm_by_chain))  # stock's epsilon
    s = o.structure
    return Compared(o.pair_state, s.frames, s.positions, s.angles, o.plddt, ptm, o.aligned.pae, o.distogram_logits)


def difference(found: Tensor, expected: Tensor) -> float:
    """Largest difference over the largest expected value."""
    assert found.shape == expected.shape
    return ((found - expected).abs().max() / expected.abs().max().clamp_min(1e-30)).item()


def differences(found: Compared, expected: Compared) -> dict[str, float]:
    """`difference` of each quantity, by its name."""
    names = [field.name for field in fields(Compared)]
    return {name: difference(getattr(found, name), getattr(expected, name)) for name in names}
