"""Confidence of a record with a linker, and the ends of the aligned error's bins."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lowmem_fold.esmfold.heads import aligned_error, bin_centers, max_aligned_error
from lowmem_fold.pair.tiles import Tiling


def test_a_linker_counts_nowhere() -> None:
    """As if its rows and columns had never been."""
    generator = torch.Generator().manual_seed(0)
    head = torch.nn.Linear(12, 64).requires_grad_(False)
    z = torch.randn(11, 11, 12, generator=generator)
    chains = np.array([0, 0, 0, -1, -1, 1, 1, 1, 1, 1, 1])
    real = torch.tensor(np.flatnonzero(chains >= 0))
    found = aligned_error(head, z, chains, Tiling(3), keep_pae=True)
    expected = aligned_error(head, z[real][:, real], chains[real.numpy()], Tiling(3), keep_pae=True)
    torch.testing.assert_close(found.pae, expected.pae)
    torch.testing.assert_close(found.tm_by_chain, expected.tm_by_chain)
    assert found.tm_by_chain.shape == (9, 2)


@pytest.mark.parametrize("bins", [16, 64])
def test_the_largest_error_is_the_centre_of_the_last_bin(bins: int) -> None:
    assert max_aligned_error(bins) == pytest.approx(bin_centers(bins, torch.device("cpu"))[-1].item())
    assert max_aligned_error(64) == 31.75  # AlphaFold's
