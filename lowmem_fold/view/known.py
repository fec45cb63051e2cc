"""What can be shown beside a prediction: another one, a known structure, or a file of either."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..bench.structures import Structure, read_atoms, residue_arrays
from ..errors import InputError
from ..prediction import Prediction
from ..residues import ATOM_ORDER

__all__ = ["Shown", "as_prediction", "read_prediction"]

Shown = Prediction | Structure | str | Path

_BACKBONE = [ATOM_ORDER[name] for name in ("N", "CA", "C")]
_ENDINGS = (".gz", ".pdb", ".ent", ".cif")


def as_prediction(shown: Shown) -> Prediction:
    """In the form of a prediction; ``ptm`` is NaN of what is none.

    Of a file ``plddt`` is the B-factor of CA: the pLDDT in a file of a prediction, and no such thing in one of an
    experiment. Of a `Structure` it is zero.

    Raises
    ------
    InputError
        A file cannot be read, or has no residue with N, CA and C.
    """
    if isinstance(shown, Prediction):
        return shown
    if isinstance(shown, Structure):
        sequence, positions, atom_mask = _whole(shown.sequence, shown.positions, shown.atom_mask)
        return _prediction(shown.id, (sequence,), positions, atom_mask, np.zeros(len(sequence)))
    return read_prediction(shown)


def read_prediction(path: str | Path) -> Prediction:
    """The structure of a PDB or mmCIF file, gzipped or not: see `as_prediction`.

    The residues that have N, CA and C are taken, which leaves out water and ligands.
    """
    path = Path(path)
    chains, parts = [], []
    atoms = read_atoms(path)
    for chain in dict.fromkeys(atoms.chain_id):
        sequence, *arrays = _residues(atoms[atoms.chain_id == chain])
        if sequence:
            chains.append(sequence)
            parts.append(arrays)
    if not chains:
        raise InputError(f"{path}: no residue with N, CA and C in this file")
    return _prediction(_name(path), tuple(chains), *(np.concatenate(part) for part in zip(*parts, strict=True)))


def _residues(atoms: Any) -> tuple[str, np.ndarray, np.ndarray, np.ndarray]:
    """Sequence, positions, mask and B-factors of CA."""
    sequence, positions, atom_mask = _whole(*residue_arrays(atoms))
    with_b = atoms.copy()
    with_b.coord = np.repeat(atoms.b_factor[:, None], 3, axis=1)
    b_factors = _whole(*residue_arrays(with_b))[1][:, ATOM_ORDER["CA"], 0]
    return sequence, positions, atom_mask, b_factors


def _whole(sequence: str, positions: np.ndarray, atom_mask: np.ndarray) -> tuple[str, np.ndarray, np.ndarray]:
    """The residues that have N, CA and C."""
    rows = np.flatnonzero(atom_mask[:, _BACKBONE].all(axis=1))
    return "".join(sequence[row] for row in rows), positions[rows], atom_mask[rows]


def _name(path: Path) -> str:
    name = path.name
    for ending in _ENDINGS:
        name = name.removesuffix(ending)
    return name


def _prediction(
    name: str, chains: tuple[str, ...], positions: np.ndarray, atom_mask: np.ndarray, plddt: np.ndarray
) -> Prediction:
    plddt = plddt.astype(np.float32)
    of_atoms = np.repeat(plddt[:, None], atom_mask.shape[1], axis=1)
    return Prediction(name, chains, positions, atom_mask, plddt, of_atoms, ptm=float("nan"))
