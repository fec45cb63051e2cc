"""Residues and their atoms: names and orders as AlphaFold and ESMFold use them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = [
    "ATOM_NAMES",
    "ATOM_ORDER",
    "CHI_ATOMS",
    "CHI_IS_SYMMETRIC",
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

#: Each residue's side-chain axis: chi i is the dihedral of four atoms in a row, from place i on.
_CHI_AXES: dict[str, str] = {
    "R": "N CA CB CG CD NE CZ",
    "N": "N CA CB CG OD1",
    "D": "N CA CB CG OD1",
    "C": "N CA CB SG",
    "Q": "N CA CB CG CD OE1",
    "E": "N CA CB CG CD OE1",
    "H": "N CA CB CG ND1",
    "I": "N CA CB CG1 CD1",
    "L": "N CA CB CG CD1",
    "K": "N CA CB CG CD CE NZ",
    "M": "N CA CB CG SD CE",
    "F": "N CA CB CG CD1",
    "P": "N CA CB CG CD",
    "S": "N CA CB OG",
    "T": "N CA CB OG1",
    "W": "N CA CB CG CD1",
    "Y": "N CA CB CG CD1",
    "V": "N CA CB CG1",
}

#: The four atoms of each of a residue's chi angles (at most 4; arginine's fifth is planar and not counted).
CHI_ATOMS: dict[str, tuple[tuple[str, ...], ...]] = {
    letter: tuple(tuple(axis[i : i + 4]) for i in range(len(axis) - 3))
    for letter in RESIDUE_LETTERS
    for axis in [_CHI_AXES.get(letter, "").split()]
}

#: Chi angles that another name of the same atoms turns by 180 degrees: letter and number of the angle, from 0.
CHI_IS_SYMMETRIC: frozenset[tuple[str, int]] = frozenset({("D", 1), ("E", 2), ("F", 1), ("Y", 1)})


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
