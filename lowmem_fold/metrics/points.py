"""Two arrays of atoms that fit each other, or an error that says why they do not."""

from __future__ import annotations

import numpy as np

from ..errors import InputError

__all__ = ["masked_points", "paired_points"]


def paired_points(predicted: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64 arrays (N, 3) that fit each other."""
    predicted, reference = (np.asarray(points, dtype=np.float64) for points in (predicted, reference))
    for name, points in (("prediction", predicted), ("reference", reference)):
        if points.ndim != 2 or points.shape[1] != 3:
            raise InputError(f"positions of shape (N, 3) are needed, those of the {name} have shape {points.shape}")
    if len(predicted) != len(reference):
        raise InputError(f"the reference has {len(reference)} atoms, the prediction {len(predicted)}")
    if len(reference) == 0:
        raise InputError("there is no atom to compare")
    for name, points in (("prediction", predicted), ("reference", reference)):
        if not np.isfinite(points).all():
            bad = int((~np.isfinite(points)).any(axis=1).sum())
            raise InputError(f"{bad} of the {len(points)} atoms of the {name} have a position that is not finite")
    return predicted, reference


def masked_points(predicted: np.ndarray, reference: np.ndarray, atom_mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The masked atoms of both, shape (N, 3)."""
    if len(predicted) != len(reference):
        raise InputError(f"the reference has {len(reference)} residues, the prediction {len(predicted)}")
    for name, positions in (("prediction", predicted), ("reference", reference)):
        if np.shape(positions) != (*np.shape(atom_mask), 3):
            raise InputError(
                f"the atom mask has shape {np.shape(atom_mask)}, the positions of the {name} {np.shape(positions)}: "
                "(L, A) and (L, A, 3) are needed"
            )
    return paired_points(predicted[atom_mask], reference[atom_mask])
