"""pTM and ipTM from the TM terms of the aligned error, over real residues only.

`tm_by_chain` (L, n) is what the engine sums up row by row: [i, c] is the expected TM term, aligned on residue i, summed
over the residues of chain c. Formulas: AlphaFold 2 supplement, section 1.9.7; AlphaFold-Multimer, section 2.6.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["chain_pair_iptm", "interface_ptm", "ptm"]


def ptm(tm_by_chain: np.ndarray) -> float:
    """pTM, 0 to 1: the best residue's mean TM term."""
    return float(tm_by_chain.sum(axis=1).max() / len(tm_by_chain))


def interface_ptm(tm_by_chain: np.ndarray, chains: Sequence[str]) -> float | None:
    """ipTM: as pTM, with each residue's mean over the residues of the other chains. None for one chain."""
    if len(chains) < 2:
        return None
    best = 0.0
    for index, (own, rows) in enumerate(_rows_of_chains(chains)):
        total = tm_by_chain[rows].sum(axis=1) - tm_by_chain[rows, index]
        best = max(best, float(total.max()) / (len(tm_by_chain) - own))
    return best


def chain_pair_iptm(tm_by_chain: np.ndarray, chains: Sequence[str]) -> np.ndarray | None:
    """ipTM of each pair of chains, (n, n), symmetric: the best residue of either chain as seen by the other; on the
    diagonal each chain by itself. The TM term is scaled by the length of the whole complex. None for one chain."""
    if len(chains) < 2:
        return None
    lengths = [len(chain) for chain in chains]
    best = np.stack([(tm_by_chain[rows] / lengths).max(axis=0) for _, rows in _rows_of_chains(chains)])
    return np.maximum(best, best.T).astype(np.float32)


def _rows_of_chains(chains: Sequence[str]) -> list[tuple[int, slice]]:
    ends = [sum(len(chain) for chain in chains[: index + 1]) for index in range(len(chains))]
    return [(len(chain), slice(end - len(chain), end)) for chain, end in zip(chains, ends, strict=True)]
