"""The local distance difference test: no superposition, each atom among its neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .points import masked_points

if TYPE_CHECKING:
    from biotite.structure import AtomArray

__all__ = ["lddt", "lddt_per_residue"]


def lddt(predicted: np.ndarray, reference: np.ndarray, atom_mask: np.ndarray) -> float:
    """Local distance difference test over all pairs of atoms of different residues within 15 Angstrom.

    Mariani et al., Bioinformatics 29, 2722, 2013, as biotite computes it, without its stereochemistry checks. NaN when
    no two atoms are that close.

    Parameters
    ----------
    predicted, reference : ndarray, shape=(L, A, 3)
        A is 37 for all atoms; ``[:, 1:2]`` of these gives the CA lDDT.
    atom_mask : ndarray, shape=(L, A), dtype=bool
        The atoms to compare: ``prediction.atom_mask & structure.atom_mask``.
    """
    from biotite.structure import lddt as biotite_lddt

    subject, known = masked_points(predicted, reference, atom_mask)
    return float(biotite_lddt(_atom_array(known, atom_mask), subject))


def lddt_per_residue(predicted: np.ndarray, reference: np.ndarray, atom_mask: np.ndarray) -> np.ndarray:
    """``lddt`` of each residue's own pairs: shape (L,), float64; NaN for a residue without an atom or a neighbour."""
    from biotite.structure import lddt as biotite_lddt

    subject, known = masked_points(predicted, reference, atom_mask)
    with np.errstate(invalid="ignore"):  # 0 / 0 where a residue has no neighbour, which is the NaN that is promised
        scores = biotite_lddt(_atom_array(known, atom_mask), subject, aggregation="residue")
    per_residue = np.full(len(atom_mask), np.nan)
    per_residue[np.any(atom_mask, axis=1)] = scores
    return per_residue


def _atom_array(points: np.ndarray, atom_mask: np.ndarray) -> AtomArray:
    """The N masked atoms as biotite holds them; only residue and position matter for lDDT."""
    from biotite.structure import AtomArray

    atoms = AtomArray(len(points))
    atoms.coord = points.astype(np.float32)
    atoms.res_id = np.nonzero(atom_mask)[0] + 1
    return atoms
