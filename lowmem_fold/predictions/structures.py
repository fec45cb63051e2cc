"""Known structures to compare predictions with, in the arrays that predictions come in."""

from __future__ import annotations

import gzip
import io
import warnings
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..sequences.residues import ATOM_ORDER, NUM_ATOMS, RESIDUE_NAMES

__all__ = [
    "Structure",
    "read_atoms",
    "read_backbones",
    "read_pdb",
    "read_pdb_folder",
    "read_structures",
    "read_text",
    "residue_arrays",
    "write_structures",
]

_LETTERS = {name: letter for letter, name in RESIDUE_NAMES.items()}
_BACKBONE = [ATOM_ORDER[name] for name in ("N", "CA", "C")]
_DELTA_ANGSTROM = 0.01
_STORED_ANGSTROM = 0.001
"""What the columns of a PDB file resolve."""


@dataclass(frozen=True, eq=False)
class Structure:
    """A chain of L residues as an experiment saw it.

    Attributes
    ----------
    id : str
        Name of the chain.
    sequence : str
        L letters: the 20 amino acids, X for any other residue.
    positions : ndarray, shape=(L, 37, 3), dtype=float32
        Angstrom, atom37 order; zero where there is no atom.
    atom_mask : ndarray, shape=(L, 37), dtype=bool
        The atoms that were seen.
    """

    id: str
    sequence: str
    positions: np.ndarray
    atom_mask: np.ndarray

    @property
    def length(self) -> int:
        return len(self.sequence)

    @property
    def ca(self) -> np.ndarray:
        """Shape (L, 3), Angstrom: the CA atoms."""
        return self.positions[:, ATOM_ORDER["CA"]]


def read_pdb(path: str | Path) -> Structure:
    """The residues of a PDB file (first model, all chains in a row), gzipped or not.

    Raises
    ------
    InputError
        When the file cannot be read or holds no residue.
    """
    path = Path(path)
    atoms = read_atoms(path)
    if len(atoms) == 0:
        raise InputError(f"{path}: no residue in this file")
    sequence, positions, atom_mask = residue_arrays(atoms)
    return Structure(path.name.removesuffix(".gz").removesuffix(".pdb"), sequence, positions, atom_mask)


def residue_arrays(atoms: Any) -> tuple[str, np.ndarray, np.ndarray]:
    """Sequence, positions and mask, as a `Structure` has them, of a biotite ``AtomArray``."""
    import biotite.structure as struc

    starts = struc.get_residue_starts(atoms)
    sequence = "".join(_LETTERS.get(name, "X") for name in atoms.res_name[starts])
    residue = np.searchsorted(starts, np.arange(len(atoms)), side="right") - 1
    slot = np.array([ATOM_ORDER.get(name, -1) for name in atoms.atom_name])
    known = slot >= 0
    positions = np.zeros((len(starts), NUM_ATOMS, 3), dtype=np.float32)
    atom_mask = np.zeros((len(starts), NUM_ATOMS), dtype=bool)
    positions[residue[known], slot[known]] = atoms.coord[known]
    atom_mask[residue[known], slot[known]] = True
    return sequence, positions, atom_mask


def read_pdb_folder(folder: str | Path) -> list[Structure]:
    """All ``*.pdb`` and ``*.pdb.gz`` of a folder, by name.

    Raises
    ------
    InputError
        When there is none, or one cannot be read.
    """
    paths = sorted([*Path(folder).glob("*.pdb"), *Path(folder).glob("*.pdb.gz")])
    if not paths:
        raise InputError(f"{folder}: no *.pdb or *.pdb.gz file here")
    return [read_pdb(path) for path in paths]


def read_backbones(path: str | Path) -> Iterator[Structure]:
    """The chains of a file of backbones (N, CA, C), one at a time.

    The file is an ``.npz`` with ``ids``, ``lengths``, ``sequences`` (bytes of all chains in a row) and ``deltas``
    (residues, 3, 3), int16 in 0.01 Angstrom: CA minus the CA before it (zero at the start of a chain), and N and C
    minus the CA of their own residue.
    """
    with np.load(path) as data:
        ids, lengths, letters, deltas = (data[key] for key in ("ids", "lengths", "sequences", "deltas"))
    ends = np.cumsum(lengths)
    for id, start, end in zip(ids, ends - lengths, ends, strict=True):
        sequence = letters[start:end].tobytes().decode("ascii")
        positions = np.zeros((end - start, NUM_ATOMS, 3), dtype=np.float32)
        positions[:, _BACKBONE] = _backbone(deltas[start:end])
        atom_mask = np.zeros((end - start, NUM_ATOMS), dtype=bool)
        atom_mask[:, _BACKBONE] = True
        yield Structure(str(id), sequence, positions, atom_mask)


def _backbone(deltas: np.ndarray) -> np.ndarray:
    """Shape (L, 3, 3), Angstrom: N, CA and C of one chain, whose first CA stands at the origin."""
    ca = np.cumsum(deltas[:, 1], axis=0, dtype=np.int64)  # beyond the range of int16 in a long chain
    atoms = np.stack([ca + deltas[:, 0], ca, ca + deltas[:, 2]], axis=1)
    return (atoms * _DELTA_ANGSTROM).astype(np.float32)


def write_structures(path: str | Path, structures: Sequence[Structure]) -> None:
    """Write structures to an ``.npz`` that `read_structures` reads, to 0.001 Angstrom.

    It holds ``ids``, ``lengths``, ``sequences`` (bytes of all chains in a row), ``atom_mask`` (residues, 37), bool, and
    ``positions`` (atoms, 3), int32 in 0.001 Angstrom: those of the mask, in its order.
    """
    masks = [structure.atom_mask for structure in structures]
    atoms = [structure.positions[structure.atom_mask].astype(np.float64) for structure in structures]
    np.savez_compressed(
        path,
        ids=np.array([structure.id for structure in structures]),
        lengths=np.array([structure.length for structure in structures]),
        sequences=np.frombuffer("".join(each.sequence for each in structures).encode("ascii"), dtype=np.uint8),
        atom_mask=np.concatenate(masks),
        positions=np.rint(np.concatenate(atoms) / _STORED_ANGSTROM).astype(np.int32),
    )


def read_structures(path: str | Path) -> list[Structure]:
    """The structures of a file that `write_structures` made, in its order. Needs numpy alone."""
    with np.load(path) as data:
        ids, lengths, letters, masks, atoms = (
            data[key] for key in ("ids", "lengths", "sequences", "atom_mask", "positions")
        )
    positions = np.zeros((*masks.shape, 3), dtype=np.float32)
    positions[masks] = atoms * _STORED_ANGSTROM
    ends = np.cumsum(lengths)
    return [
        Structure(str(id), letters[start:end].tobytes().decode("ascii"), positions[start:end], masks[start:end])
        for id, start, end in zip(ids, ends - lengths, ends, strict=True)
    ]


def read_atoms(path: Path) -> Any:
    """The first model of a PDB file, or of an mmCIF file where the name ends in .cif: an ``AtomArray`` of biotite.

    It has the annotation ``b_factor``. Chains are named and residues numbered as the authors did.

    Raises
    ------
    InputError
        When the file cannot be read.
    """
    from biotite import DeserializationError, InvalidFileError
    from biotite.structure.io import pdb, pdbx

    text = read_text(path)
    try:
        with warnings.catch_warnings():
            # The element column is empty in many files, and only the atoms' names are used here.
            warnings.filterwarnings("ignore", message=".* elements were guessed from atom name")
            if path.name.lower().removesuffix(".gz").endswith(".cif"):
                return pdbx.get_structure(pdbx.CIFFile.read(io.StringIO(text)), model=1, extra_fields=["b_factor"])
            return pdb.PDBFile.read(io.StringIO(text)).get_structure(model=1, extra_fields=["b_factor"])
    except (ValueError, KeyError, InvalidFileError, DeserializationError) as error:
        raise _unreadable(path, error) from error


def read_text(path: Path) -> str:
    """The text of a file, gzipped or not.

    Raises
    ------
    InputError
        When the file cannot be read.
    """
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8")
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: cannot be read as a structure: {error}. Give a PDB or mmCIF file.")
