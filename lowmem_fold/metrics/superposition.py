"""The rigid motion that lays one structure on another, and the RMSD that remains."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..sequences.residues import ATOM_ORDER
from .points import masked_points, paired_points

__all__ = ["Superposition", "all_atom_rmsd", "rmsd", "rotations", "superpose"]


class Superposition(NamedTuple):
    """The rigid motion that lays one set of points on another.

    ``rotation`` has shape (3, 3) and ``translation`` (3,), Angstrom; ``rmsd`` is what remains, Angstrom.
    """

    rotation: np.ndarray
    translation: np.ndarray
    rmsd: float

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Move points, shape (..., 3): all atoms, say, after a fit on CA."""
        return np.asarray(points, dtype=np.float64) @ self.rotation.T + self.translation


def superpose(predicted: np.ndarray, reference: np.ndarray) -> Superposition:
    """Superpose with the least RMSD (Kabsch, Acta Cryst. A32, 922, 1976), never by a mirror image.

    Parameters
    ----------
    predicted, reference : ndarray, shape=(N, 3)
        The points to move, and those that stay.
    """
    predicted, reference = paired_points(predicted, reference)
    center, target = predicted.mean(axis=0), reference.mean(axis=0)
    rotation = rotations(((predicted - center).T @ (reference - target))[None])[0]
    translation = target - rotation @ center
    distances = predicted @ rotation.T + translation - reference
    return Superposition(rotation, translation, float(np.sqrt((distances**2).sum(axis=1).mean())))


def rmsd(predicted: np.ndarray, reference: np.ndarray) -> float:
    """Root-mean-square distance in Angstrom after superposition; CA atoms, shape (L, 3), give the usual CA RMSD."""
    return superpose(predicted, reference).rmsd


def all_atom_rmsd(predicted: np.ndarray, reference: np.ndarray, atom_mask: np.ndarray) -> float:
    """Root-mean-square distance in Angstrom over the atoms that both structures have, after superposing their CA.

    Atoms are compared by name: the equal ends of ARG, ASP, GLU, PHE and TYR are not swapped for a better fit.

    Parameters
    ----------
    predicted, reference : ndarray, shape=(L, 37, 3)
    atom_mask : ndarray, shape=(L, 37), dtype=bool
        The atoms to compare: ``prediction.atom_mask & structure.atom_mask``.
    """
    subject, known = masked_points(predicted, reference, atom_mask)
    ca = ATOM_ORDER["CA"]
    both = atom_mask[:, ca]
    fit = superpose(predicted[both, ca], reference[both, ca])
    return float(np.sqrt(((fit.apply(subject) - known) ** 2).sum(axis=1).mean()))


def rotations(covariances: np.ndarray) -> np.ndarray:
    """Shape (S, 3, 3): the rotations R that minimise |R x - y|, from sums of x y^T about the means."""
    u, _, vt = np.linalg.svd(covariances)
    # A reflection where the determinant is -1: the axis that matters least is turned round.
    u[:, :, 2] *= np.sign(np.linalg.det(u @ vt))[:, None]
    return np.swapaxes(u @ vt, 1, 2)
