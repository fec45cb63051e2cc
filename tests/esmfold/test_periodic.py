"""A block on a repeated sequence: attention over copies of the keys, and a normalised sum over copies, change nothing.

So what a short record gives, repeated, is what the long one must give. No second implementation is needed at lengths
where none would fit.
"""

from __future__ import annotations

import pytest
import torch

from lowmem_fold.bench.fidelity import difference
from lowmem_fold.bench.models import random_model
from lowmem_fold.esmfold.published import esmfold_v1_config
from lowmem_fold.esmfold.trunk import run_block
from lowmem_fold.pair.tiles import Tiling


@torch.no_grad()
def largest_difference(period: int, copies: int, device: str) -> float:
    """Between the block of the long record and the repeated block of the short one, row by row."""
    block = random_model(esmfold_v1_config(stem_layers=1, trunk_blocks=1)).trunk.blocks[0].to(device)
    generator = torch.Generator().manual_seed(0)
    s = torch.randn(period, 1024, generator=generator).to(device)
    z = 4 * torch.randn(period, period, 128, generator=generator).to(device)
    long_s, long_z = s.repeat(copies, 1), z.repeat(copies, copies, 1)
    tiling = Tiling.for_device(torch.device(device))
    s, long_s = (run_block(block, *states, tiling) for states in ((s, [z]), (long_s, [long_z])))
    rows = [difference(row, z[i % period].repeat(copies, 1)) for i, row in enumerate(long_z)]
    return max(difference(long_s, s.repeat(copies, 1)), *rows)


def test_repeated_sequence_repeats_the_result() -> None:
    assert largest_difference(period=13, copies=5, device="cpu") < 1e-4


@pytest.mark.gpu
@pytest.mark.parametrize("copies", [62, 64], ids=["below 2^31 elements", "above"])
def test_pair_state_of_more_than_2_to_the_31_elements(copies: int) -> None:
    """4,030 and 4,160 residues: 128 L^2 passes 2^31 at 4,096."""
    assert largest_difference(period=65, copies=copies, device="cuda") < 1e-3
