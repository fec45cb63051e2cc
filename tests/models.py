"""Stock ESMFold and ours on the same weights and tokens."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from unittest.mock import patch

import numpy as np
import torch
from transformers import EsmForProteinFolding

from lowmem_fold.bench.models import random_model, small_config
from lowmem_fold.esmfold import engine
from lowmem_fold.esmfold.engine import FoldInput, FoldOutput, fold_batch


@cache
def small_model(dtype: torch.dtype = torch.float32, seed: int = 0) -> EsmForProteinFolding:
    return random_model(small_config(), seed).to(dtype)


def tokens(length: int, seed: int = 0, *, jump: bool = True) -> FoldInput:
    """A sequence of random residues, unknown ones among them, whose second half jumps in number, as another chain."""
    generator = torch.Generator().manual_seed(seed)
    aatype = torch.randint(0, 21, (length,), generator=generator)
    residue_index = torch.arange(length)
    if jump:
        residue_index[length // 2 :] += 512
    return FoldInput(aatype, residue_index, np.zeros(length, dtype=np.int64))


@dataclass
class Compared:
    """What both give, under the same names."""

    pair_state: torch.Tensor
    frames: torch.Tensor
    positions: torch.Tensor
    angles: torch.Tensor
    plddt: torch.Tensor
    ptm: torch.Tensor
    pae: torch.Tensor
    distogram: torch.Tensor


def stock(model: EsmForProteinFolding, record: FoldInput, num_recycles: int) -> Compared:
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


def ours(model: EsmForProteinFolding, record: FoldInput, num_recycles: int, **options) -> Compared:
    keep = {"keep_pair_state": True, "keep_distogram": True}
    return named(fold_batch(model, [record], num_recycles=num_recycles, **keep, **options)[0])


def named(o: FoldOutput) -> Compared:
    ptm = o.aligned.tm_by_chain.sum(1).max() / (1e-8 + len(o.aligned.tm_by_chain))  # stock's epsilon
    s = o.structure
    return Compared(o.pair_state, s.frames, s.positions, s.angles, o.plddt, ptm, o.aligned.pae, o.distogram_logits)


def difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest difference over the largest expected value."""
    assert found.shape == expected.shape
    return ((found - expected).abs().max() / expected.abs().max().clamp_min(1e-30)).item()


def backbones_of_passes(model: EsmForProteinFolding, record: FoldInput, num_recycles: int) -> tuple[list, list]:
    """Positions of N, CA and C (L, 3, 3) after each pass, ours and stock's."""
    found, expected = [], []

    def recorded(*args):
        structure = predict(*args)
        found.append(structure.positions[:, :3])
        return structure

    predict = engine.predict_structure
    with patch.object(engine, "predict_structure", recorded):
        ours(model, record, num_recycles)
    module = model.trunk.structure_module
    hook = module.register_forward_hook(lambda _, __, output: expected.append(output["positions"][-1, 0, :, :3]))
    stock(model, record, num_recycles)
    hook.remove()
    return found, expected
