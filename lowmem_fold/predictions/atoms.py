"""The existing atoms of a prediction, in the order in which files list them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from ..errors import LowmemFoldError
from ..sequences.residues import ATOM_NAMES, RESIDUE_NAMES

__all__ = ["Writable", "atom_array", "residue_names"]


class Writable(Protocol):
    """What files are made of: these fields of a `Prediction`, by the same names."""

    @property
    def id(self) -> str: ...
    @property
    def chains(self) -> tuple[str, ...]: ...
    @property
    def chain_ids(self) -> tuple[str, ...]: ...
    @property
    def chain_index(self) -> np.ndarray: ...
    @property
    def residue_number(self) -> np.ndarray: ...
    @property
    def length(self) -> int: ...
    @property
    def positions(self) -> np.ndarray: ...
    @property
    def atom_mask(self) -> np.ndarray: ...
    @property
    def plddt(self) -> np.ndarray: ...
    @property
    def mean_plddt(self) -> float: ...
    @property
    def ptm(self) -> float: ...
    @property
    def iptm(self) -> float | None: ...
    @property
    def pae(self) -> np.ndarray | None: ...
    @property
    def max_pae(self) -> float: ...


def residue_names(prediction: Writable) -> np.ndarray:
    """Three-letter names of all residues: ndarray, shape=(L,), dtype=str. X is UNK."""
    return np.array([RESIDUE_NAMES[letter] for chain in prediction.chains for letter in chain])


def atom_array(prediction: Writable, chain_ids: Sequence[str]) -> Any:
    """The atoms as a biotite ``AtomArray``, coordinates as they are.

    The annotation ``b_factor`` is the pLDDT of the residue (its CA) on each of its atoms, 0 to 100; ``occupancy`` is 1;
    ``residue`` is the row of the residue in the prediction.

    Raises
    ------
    LowmemFoldError
        If a coordinate or a pLDDT is not finite, or no atom exists: such a result has no structure to write.
    """
    from biotite.structure import AtomArray

    residue, atom = np.nonzero(prediction.atom_mask)
    coordinates = prediction.positions[residue, atom]
    plddt = prediction.plddt[residue]
    if not len(residue):
        raise LowmemFoldError(f"{prediction.id}: no atom of the prediction exists, there is no structure to write.")
    if not (np.isfinite(coordinates).all() and np.isfinite(prediction.plddt).all()):
        raise LowmemFoldError(f"{prediction.id}: coordinates or pLDDT are not finite, there is no structure to write.")
    names = np.array(ATOM_NAMES)[atom]
    array = AtomArray(len(residue))
    array.coord = coordinates.astype(np.float32)
    array.chain_id = np.array(list(chain_ids))[prediction.chain_index[residue]]
    array.res_id = prediction.residue_number[residue]
    array.res_name = residue_names(prediction)[residue]
    array.atom_name = names
    array.element = names.astype("U1")  # C, N, O or S: the first letter of each of the 37 names
    array.set_annotation("b_factor", plddt.astype(np.float64))
    array.set_annotation("occupancy", np.ones(len(residue)))
    array.set_annotation("residue", residue)
    return array
