"""Which residues touch: precision and recall of contacts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..sequences.residues import ATOM_ORDER
from .points import paired_points

__all__ = ["ContactAgreement", "contact_agreement", "representative_atoms"]


class ContactAgreement(NamedTuple):
    """Precision, recall and their harmonic mean; NaN where nothing was predicted, was there, or both."""

    precision: float
    recall: float
    f1: float


def representative_atoms(positions: np.ndarray, atom_mask: np.ndarray) -> np.ndarray:
    """The atom that stands for a residue in contacts: CB, or CA where there is no CB, as in glycine.

    Parameters
    ----------
    positions : ndarray, shape=(L, 37, 3)
    atom_mask : ndarray, shape=(L, 37), dtype=bool
        Of both structures together (``&``), so that the same atoms stand for both.

    Returns
    -------
    ndarray, shape=(L, 3)
    """
    ca, cb = ATOM_ORDER["CA"], ATOM_ORDER["CB"]
    return np.where(atom_mask[:, cb, None], positions[:, cb], positions[:, ca])


def contact_agreement(
    predicted: np.ndarray, reference: np.ndarray, *, cutoff: float = 8.0, min_separation: int = 6
) -> ContactAgreement:
    """Which contacts of the reference were predicted, and which of the predicted ones are there.

    Two residues i < j of a chain are in contact when their atoms are less than ``cutoff`` Angstrom apart and
    j - i >= ``min_separation``. With P the contacts of the prediction and R those of the reference, precision is
    |P & R| / |P|, recall |P & R| / |R|, and F1 = 2 |P & R| / (|P| + |R|).

    Parameters
    ----------
    predicted, reference : ndarray, shape=(L, 3)
        One atom a residue: see ``representative_atoms``.
    """
    predicted, reference = paired_points(predicted, reference)
    ours, theirs = (_contacts(points, cutoff, min_separation) for points in (predicted, reference))
    both, made, there = (int(contacts.sum()) for contacts in (ours & theirs, ours, theirs))
    return ContactAgreement(_ratio(both, made), _ratio(both, there), _ratio(2 * both, made + there))


def _contacts(points: np.ndarray, cutoff: float, min_separation: int) -> np.ndarray:
    """Shape (pairs,), bool: whether each pair far enough apart in sequence is in contact."""
    first, second = np.triu_indices(len(points), k=min_separation)
    return np.linalg.norm(points[first] - points[second], axis=1) < cutoff


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
