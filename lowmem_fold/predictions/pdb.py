"""PDB files."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from typing import Any

import numpy as np

from ..errors import InputError
from ..sequences.records import CHAIN_LETTERS
from .atoms import Writable, atom_array

__all__ = ["PDBLimitError", "pdb_text", "refuse_large"]

_MAX_SERIAL = 99_999
_MAX_RESIDUES = 9_999
_MIN_COORDINATE, _MAX_COORDINATE = -999.999, 9999.999  # what eight columns with three decimals hold


class PDBLimitError(InputError):
    """A structure does not fit into PDB.

    Attributes
    ----------
    limit : str
        What there is too much of, and what PDB holds.
    """

    def __init__(self, id: str, limit: str) -> None:
        super().__init__(f"{id}: {limit}. Write mmCIF instead: --format cif.")
        self.limit = limit


def refuse_large(id: str, chains: Sequence[str], num_atoms: int) -> None:
    """Raise PDBLimitError if there are more chains, residues or atoms than PDB can name and number."""
    longest, last = max(map(len, chains)), num_atoms + len(chains)
    if len(chains) > len(CHAIN_LETTERS):
        raise PDBLimitError(id, f"{len(chains)} chains, PDB names {len(CHAIN_LETTERS)}")
    if longest > _MAX_RESIDUES:
        raise PDBLimitError(id, f"a chain of {longest:,} residues, PDB numbers {_MAX_RESIDUES:,}")
    if last > _MAX_SERIAL:
        raise PDBLimitError(id, f"{last:,} atoms and chain ends, PDB numbers {_MAX_SERIAL:,}")


def pdb_text(prediction: Writable) -> str:
    """The prediction as PDB text.

    pLDDT (0 to 100, that of the residue's CA) stands in the B-factor of each atom. A TER, with a serial number of its
    own, follows each chain, an END the last. Residues count from 1 in each chain; X is UNK with the atoms it has. The
    chains are named A to Z, a to z, 0 to 9.

    Raises
    ------
    PDBLimitError
        If there are more than 62 chains, 9,999 residues in a chain, or 99,999 atoms (each TER counts as one), or a
        coordinate is out of the columns. mmCIF holds them all.
    LowmemFoldError
        If coordinates or pLDDT are not finite.
    """
    from biotite.structure.io.pdb import PDBFile

    refuse_large(prediction.id, prediction.chains, int(prediction.atom_mask.sum()))
    array = atom_array(prediction, prediction.chain_ids)
    chain = prediction.chain_index[array.residue]
    array.set_annotation("atom_id", np.arange(1, len(chain) + 1) + chain)  # each TER before an atom takes a number
    _refuse_far(prediction, array)
    file, written = PDBFile(), StringIO()
    file.set_structure(array)
    file.write(written)
    lines = written.getvalue().splitlines()  # an ATOM line for each atom, no other
    for end in np.flatnonzero(np.append(np.diff(chain), 1))[::-1]:
        lines.insert(end + 1, _ter(array[end]))
    return "\n".join(line.ljust(80) for line in [*lines, "END"]) + "\n"


def _ter(atom: Any) -> str:
    return f"TER   {atom.atom_id + 1:>5}      {atom.res_name:>3} {atom.chain_id}{atom.res_id:>4}"


def _refuse_far(prediction: Writable, array: Any) -> None:
    rounded = np.round(array.coord.astype(np.float64), 3)
    if rounded.min() < _MIN_COORDINATE or rounded.max() > _MAX_COORDINATE:
        furthest = rounded.flat[np.abs(rounded).argmax()]
        held = f"PDB holds {_MIN_COORDINATE} to {_MAX_COORDINATE}"
        raise PDBLimitError(prediction.id, f"a coordinate of {furthest:.3f}, {held}")
