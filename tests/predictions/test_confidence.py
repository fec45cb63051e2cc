"""pTM and ipTM against their formulas, written out over the whole matrix of TM terms."""

from __future__ import annotations

import numpy as np
import pytest

from lowmem_fold.predictions.confidence import chain_pair_iptm, interface_ptm, ptm

CHAINS = ("A" * 5, "C" * 3, "D" * 8)


@pytest.fixture
def terms() -> np.ndarray:
    """TM terms of every pair of residues (16, 16)."""
    return np.random.default_rng(0).random((16, 16))


def by_chain(terms: np.ndarray) -> np.ndarray:
    return np.stack([part.sum(axis=1) for part in np.split(terms, [5, 8], axis=1)], axis=1)


def test_ptm_is_the_best_mean(terms: np.ndarray) -> None:
    assert ptm(by_chain(terms)) == pytest.approx(terms.mean(axis=1).max())


def test_interface_ptm_leaves_out_the_own_chain(terms: np.ndarray) -> None:
    chain = np.repeat([0, 1, 2], [5, 3, 8])
    means = [terms[i, chain != chain[i]].mean() for i in range(16)]
    assert interface_ptm(by_chain(terms), CHAINS) == pytest.approx(max(means))


def test_chain_pairs(terms: np.ndarray) -> None:
    chain = np.repeat([0, 1, 2], [5, 3, 8])
    found = chain_pair_iptm(by_chain(terms), CHAINS)
    assert found is not None
    for a in range(3):
        for b in range(3):
            seen = [terms[np.ix_(chain == x, chain == y)].mean(axis=1).max() for x, y in ((a, b), (b, a))]
            assert found[a, b] == pytest.approx(max(seen))


def test_one_chain_has_no_interface(terms: np.ndarray) -> None:
    total = terms.sum(axis=1, keepdims=True)
    assert interface_ptm(total, ("A" * 16,)) is None
    assert chain_pair_iptm(total, ("A" * 16,)) is None
