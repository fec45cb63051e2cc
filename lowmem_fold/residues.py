"""Residues and their atoms: names and orders as AlphaFold and ESMFold use them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = [
    "ATOM_NAMES",
    "ATOM_ORDER",
    "NUM_ATOMS",
    "RESIDUE_ATOMS",
    "RESIDUE_LETTERS",
    "RESIDUE_NAMES",
    "RESIDUE_ORDER",
    "UNKNOWN",
    "existing_atoms",
]

#: The atom37 order. A position array of a protein is (L, 37, 3).
# fmt: off
ATOM_NAMES: tuple[str, ...] = (
    "N", "CA", "C", "CB", "O", "CG", "CG1", "CG2", "OG", "OG1",
    "SG", "CD", "CD1", "CD2", "ND1", "ND2", "OD1", "OD2", "SD", "CE",
    "CE1", "CE2", "CE3", "NE", "NE1", "NE2", "OE1", "OE2", "CH2", "NH1",
    "NH2", "OH", "CZ", "CZ2", "CZ3", "NZ", "OXT",
)
# fmt: on
ATOM_ORDER: dict[str, int] = {name: index for index, name in enumerate(ATOM_NAMES)}
NUM_ATOMS = len(ATOM_NAMES)

#: The aatype order: the index of a letter is its residue type; X, the unknown residue, comes last.
RESIDUE_LETTERS = "ARNDCQEGHILKMFPSTWYVX"
RESIDUE_ORDER: dict[str, int] = {letter: index for index, letter in enumerate(RESIDUE_LETTERS)}
UNKNOWN = RESIDUE_ORDER["X"]

_NAMES_AND_SIDE_CHAINS: dict[str, tuple[str, str]] = {
    "A": ("ALA", "CB"),
    "R": ("ARG", "CB CG CD NE CZ NH1 NH2"),
    "N": ("ASN", "CB CG OD1 ND2"),
    "D": ("ASP", "CB CG OD1 OD2"),
    "C": ("CYS", "CB SG"),
    "Q": ("GLN", "CB CG CD OE1 NE2"),
    "E": ("GLU", "CB CG CD OE1 OE2"),
    "G": ("GLY", ""),
    "H": ("HIS", "CB CG ND1 CD2 CE1 NE2"),
    "I": ("ILE", "CB CG1 CG2 CD1"),
    "L": ("LEU", "CB CG CD1 CD2"),
    "K": ("LYS", "CB CG CD CE NZ"),
    "M": ("MET", "CB CG SD CE"),
    "F": ("PHE", "CB CG CD1 CD2 CE1 CE2 CZ"),
    "P": ("PRO", "CB CG CD"),
    "S": ("SER", "CB OG"),
    "T": ("THR", "CB OG1 CG2"),
    "W": ("TRP", "CB CG CD1 CD2 NE1 CE2 CE3 CZ2 CZ3 CH2"),
    "Y": ("TYR", "CB CG CD1 CD2 CE1 CE2 CZ OH"),
    "V": ("VAL", "CB CG1 CG2"),
    "X": ("UNK", ""),
}

RESIDUE_NAMES: dict[str, str] = {letter: name for letter, (name, _) in _NAMES_AND_SIDE_CHAINS.items()}

#: The heavy atoms of a residue inside a chain (no OXT). X has a backbone, since its frame is predicted, no side chain.
RESIDUE_ATOMS: dict[str, tuple[str, ...]] = {
    letter: ("N", "CA", "C", "O", *atoms.split()) for letter, (_, atoms) in _NAMES_AND_SIDE_CHAINS.items()
}


def _atom_table() -> np.ndarray:
    table = np.zeros((len(RESIDUE_LETTERS), NUM_ATOMS), dtype=bool)
    for letter, atoms in RESIDUE_ATOMS.items():
        table[RESIDUE_ORDER[letter], [ATOM_ORDER[atom] for atom in atoms]] = True
    return table


_ATOM_TABLE = _atom_table()


def existing_atoms(sequence: str | Sequence[str]) -> np.ndarray:
    """Which of the 37 atoms each residue has.

    Parameters
    ----------
    sequence : str
        L letters out of ``RESIDUE_LETTERS``, without chain separators.

    Returns
    -------
    ndarray, shape=(L, 37), dtype=bool
        In atom37 order. An X has N, CA, C and O.
    """
    aatype = [RESIDUE_ORDER[letter] for letter in sequence]
    return _ATOM_TABLE[np.array(aatype, dtype=np.int64)]
