"""Secondary structure from the hydrogen bonds of the backbone: what a ribbon draws as helix and as strand.

Kabsch and Sander, Biopolymers 22, 2577 (1983): their alpha helices and ladders of bridges. Single bridges, turns and
the rarer helices are left out, as no cartoon shows them; of bulges only those of one residue are bridged.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..sequences.residues import ATOM_ORDER

__all__ = ["hydrogen_bonds", "secondary_structure"]

_N, _CA, _C, _O = (ATOM_ORDER[name] for name in ("N", "CA", "C", "O"))
_CHARGES = 332 * 0.42 * 0.20  # kcal Angstrom / mol
_BOND_ENERGY = -0.5  # kcal / mol
_NEAR = 9.0  # Angstrom between CA atoms: no bond is possible beyond
_PEPTIDE = 2.5  # Angstrom between C and N: beyond it a residue is missing
_ROWS = 256  # residues whose distances to all others are held at a time

Pair = tuple[int, int]


def secondary_structure(positions: np.ndarray, atom_mask: np.ndarray) -> np.ndarray:
    """`a` for a residue of a helix, `b` for one of a strand, `c` for any other; shape (L,), of one letter each.

    Parameters
    ----------
    positions : ndarray, shape=(L, 37, 3)
        Angstrom, of all chains.
    atom_mask : ndarray, shape=(L, 37), dtype=bool
        A residue without N, CA, C or O is `c`.
    """
    bonds = hydrogen_bonds(positions, atom_mask)
    kinds = np.full(len(positions), "c")
    kinds[_in_ladders(bonds)] = "b"
    kinds[1:-1][(kinds[:-2] == "b") & (kinds[2:] == "b")] = "b"
    turns = {i for i, j in bonds if j == i + 4}
    for start in turns:
        if start - 1 in turns:
            kinds[start : start + 4] = "a"
    return kinds


def hydrogen_bonds(positions: np.ndarray, atom_mask: np.ndarray) -> set[Pair]:
    """All (i, j) with a bond from C=O of residue i to N-H of residue j, by its energy in a field of point charges.

    0.084 * 332 (1 / r_ON + 1 / r_CH - 1 / r_OH - 1 / r_CN) kcal / mol is below -0.5. H is 1 Angstrom from N, against
    the direction of C=O of the residue before, so that the first residue of a chain has none. That a proline has none
    either is not looked at. Shapes are those of `secondary_structure`.
    """
    backbone = [_N, _CA, _C, _O]
    whole = atom_mask[:, backbone].all(axis=1) & np.isfinite(positions[:, backbone]).all(axis=(1, 2))
    positions = np.where(whole[:, None, None], positions, 0.0).astype(np.float64)
    donors = np.flatnonzero(_follows(positions, whole)) + 1
    found: set[Pair] = set()
    for first in range(0, len(donors), _ROWS):
        found.update(_bonds_of(positions, whole, donors[first : first + _ROWS]))
    return found


def _follows(positions: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Whether each residue but the first is bound to the one before; shape (L - 1,)."""
    peptide = np.linalg.norm(positions[1:, _N] - positions[:-1, _C], axis=1)
    return whole[1:] & whole[:-1] & (peptide < _PEPTIDE)


def _bonds_of(positions: np.ndarray, whole: np.ndarray, donors: np.ndarray) -> Iterable[Pair]:
    before = positions[donors - 1, _C] - positions[donors - 1, _O]
    nitrogen = positions[donors, _N]
    hydrogen = nitrogen + before / np.linalg.norm(before, axis=1, keepdims=True)
    apart = _distances(positions[:, _CA], positions[donors, _CA])
    near = whole[:, None] & (apart < _NEAR)
    acceptor, place = np.nonzero(near)
    acceptor, place = (each[_may_bond(acceptor, donors[place])] for each in (acceptor, place))
    oxygen, carbon = positions[acceptor, _O], positions[acceptor, _C]
    energy = _CHARGES * (
        1 / _length(oxygen - nitrogen[place])
        + 1 / _length(carbon - hydrogen[place])
        - 1 / _length(oxygen - hydrogen[place])
        - 1 / _length(carbon - nitrogen[place])
    )
    bound = energy < _BOND_ENERGY
    return zip(acceptor[bound].tolist(), donors[place][bound].tolist(), strict=True)


def _may_bond(acceptor: np.ndarray, donor: np.ndarray) -> np.ndarray:
    return (acceptor != donor) & (acceptor != donor - 1)


def _in_ladders(bonds: set[Pair]) -> list[int]:
    """Residues of two bridges or more in a row."""
    parallel, antiparallel = set(), set()
    for i, j in bonds:
        if (j, i) in bonds:
            antiparallel.add((i, j))
        if (j - 2, i + 2) in bonds:  # bonds (a-1, b+1) and (b-1, a+1) around the bridge of a = i + 1 and b = j - 1
            antiparallel.add((i + 1, j - 1))
        if (j, i + 2) in bonds:  # bonds (a-1, b) and (b, a+1)
            parallel.add((i + 1, j))
    in_both = parallel | {(j, i) for i, j in parallel}
    rows = [pair for i, j in in_both if (i + 1, j + 1) in in_both for pair in ((i, j), (i + 1, j + 1))]
    around = antiparallel | {(j, i) for i, j in antiparallel}
    rows += [pair for i, j in around if (i + 1, j - 1) in around for pair in ((i, j), (i + 1, j - 1))]
    return sorted({residue for i, j in rows if abs(i - j) > 2 for residue in (i, j)})


def _distances(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[:, None] - others[None], axis=-1)


def _length(vectors: np.ndarray) -> np.ndarray:
    return np.maximum(np.linalg.norm(vectors, axis=-1), 1e-3)
