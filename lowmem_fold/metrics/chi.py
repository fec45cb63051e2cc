"""Side-chain dihedral angles, and how far they are off."""

from __future__ import annotations

import numpy as np

from ..sequences.residues import ATOM_ORDER, CHI_ATOMS, CHI_IS_SYMMETRIC

__all__ = ["chi_angles", "chi_errors"]


def chi_angles(sequence: str, positions: np.ndarray, atom_mask: np.ndarray) -> np.ndarray:
    """Side-chain dihedral angles chi 1 to 4, by the sign convention of IUPAC.

    Parameters
    ----------
    sequence : str
        L letters.
    positions : ndarray, shape=(L, 37, 3)
    atom_mask : ndarray, shape=(L, 37), dtype=bool

    Returns
    -------
    ndarray, shape=(L, 4), dtype=float64
        Radians, -pi to pi; NaN where a residue has no such angle or lacks one of its atoms.
    """
    from biotite.structure import dihedral

    angles = np.full((len(sequence), 4), np.nan)
    for letter in set(sequence):
        rows = np.flatnonzero(np.array(list(sequence)) == letter)
        for i, names in enumerate(CHI_ATOMS[letter]):
            atoms = [ATOM_ORDER[name] for name in names]
            there = rows[atom_mask[rows][:, atoms].all(axis=1)]
            angles[there, i] = dihedral(*np.asarray(positions, dtype=np.float64)[there][:, atoms].transpose(1, 0, 2))
    return angles


def chi_errors(sequence: str, predicted: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Absolute difference of chi angles: the smaller one where swapping two like atoms turns an angle by 180 degrees.

    Parameters
    ----------
    sequence : str
        L letters.
    predicted, reference : ndarray, shape=(L, 4)
        Radians, from `chi_angles`.

    Returns
    -------
    ndarray, shape=(L, 4), dtype=float64
        Radians, 0 to pi; NaN where either is.
    """
    symmetric = np.array([[(letter, i) in CHI_IS_SYMMETRIC for i in range(4)] for letter in sequence])
    period = np.where(symmetric, np.pi, 2 * np.pi)
    difference = np.mod(predicted - reference, period)
    return np.minimum(difference, period - difference)
