"""What can be shown beside a prediction: another one, a known structure, or a file of either."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError
from ..predictions.prediction import Prediction
from ..predictions.structures import Structure, read_atoms, read_text, residue_arrays
from ..sequences.records import chain_label
from ..sequences.residues import ATOM_ORDER
from ..system.readable import readable

__all__ = ["FileStructure", "Shown", "as_prediction", "has_plddt", "read_prediction", "residue_labels"]

Shown = Prediction | Structure | str | Path

_BACKBONE = [ATOM_ORDER[name] for name in ("N", "CA", "C")]
_ENDINGS = (".gz", ".pdb", ".ent", ".cif")
_PDB_NUMBERS = range(-999, 10_000)  # what four columns hold
#: Words of a file that is a prediction's: of ModelCIF, and of PDB.
_PREDICTED = ("_ma_qa_metric", "THEORETICAL MODEL")
#: Words of one that is an experiment's, where none of those is in it.
_MEASURED = ("_exptl.", "EXPDTA")


@dataclass(frozen=True, eq=False, repr=False)
class FileStructure(Prediction):
    """The structure of a file, in the form of a prediction, with the names and numbers that its authors gave.

    Attributes
    ----------
    names : tuple of str
        Of the chains.
    labels : tuple of str
        Number of each of the L residues, with its insertion code: ``52A``.
    predicted : bool
        Whether the B-factors are pLDDT, as in the file of a prediction.
    """

    names: tuple[str, ...] = field(kw_only=True)
    labels: tuple[str, ...] = field(kw_only=True)
    predicted: bool = field(kw_only=True)

    def headline(self) -> dict[str, str]:
        """Return what a line or a table says of it; pLDDT if its B-factors are that. A file says no pTM."""
        said = super().headline()
        return {name: said[name] for name in ("residues", "chains", *(["mean pLDDT"] if self.predicted else []))}

    @property
    def chain_ids(self) -> tuple[str, ...]:
        """Names of the chains, as the file has them."""
        return self.names

    @cached_property
    def residue_number(self) -> np.ndarray:
        """Number of each residue, shape=(L,), dtype=int64: the file's, or from 1 in a chain where those do not ascend.

        Residues of a chain are told apart by it, which insertion codes would be needed for else.
        """
        parts = []
        for chain in range(len(self.chains)):
            labels = [self.labels[row] for row in np.flatnonzero(self.chain_index == chain)]
            numbers = np.array([int(label) if _is_number(label) else 0 for label in labels])
            ascending = all(map(_is_number, labels)) and (np.diff(numbers) > 0).all()
            parts.append(numbers if ascending else np.arange(1, len(labels) + 1))
        return np.concatenate(parts)

    def to_pdb(self) -> str:
        """As of a prediction; InputError also where the names or numbers do not fit the columns."""
        if any(len(name) > 1 for name in self.names) or not all(int(n) in _PDB_NUMBERS for n in self.residue_number):
            raise InputError(f"{self.id}: PDB has no columns for its names of chains or numbers of residues.")
        return super().to_pdb()


def as_prediction(shown: Shown) -> Prediction:
    """In the form of a prediction; ``ptm`` is NaN of what is none.

    Of a file ``plddt`` is the B-factor of CA: the pLDDT in a file of a prediction, and no such thing in one of an
    experiment. Of a `Structure` it is zero. See `has_plddt`.

    Raises
    ------
    InputError
        A file cannot be read, or has no residue with N, CA and C.
    """
    if isinstance(shown, Prediction):
        return shown
    if isinstance(shown, Structure):
        rows = _whole(shown.atom_mask)
        plddt = np.zeros(len(rows), np.float32)
        sequence = "".join(shown.sequence[row] for row in rows)
        fields = shown.positions[rows], shown.atom_mask[rows], plddt, _of_atoms(plddt)
        return Prediction(shown.id, (sequence,), *fields, ptm=float("nan"))
    return read_prediction(shown)


def has_plddt(structure: Prediction) -> bool:
    """Whether its ``plddt`` is one, and not the B-factor of an experiment or nothing."""
    return structure.predicted if isinstance(structure, FileStructure) else bool(np.isfinite(structure.ptm))


def residue_labels(structure: Prediction) -> Sequence[str]:
    """What each of the L residues is called in its chain: the number that its authors gave, else from 1."""
    return structure.labels if isinstance(structure, FileStructure) else [str(n) for n in structure.residue_number]


class _Chain(NamedTuple):
    """Residues of a chain that have N, CA and C; ``b_factors`` are those of CA, ``labels`` their numbers."""

    sequence: str
    labels: list[str]
    positions: np.ndarray
    atom_mask: np.ndarray
    b_factors: np.ndarray


def read_prediction(path: str | Path) -> FileStructure:
    """The structure of a PDB or mmCIF file, gzipped or not: see `as_prediction`.

    The residues that have N, CA and C are taken, which leaves out water and ligands.
    """
    path = Path(path)
    atoms = read_atoms(path)
    found = {name: _chain(atoms[atoms.chain_id == name]) for name in dict.fromkeys(atoms.chain_id.tolist())}
    kept = {name: chain for name, chain in found.items() if chain.sequence}
    if not kept:
        raise InputError(f"{path}: no residue with N, CA and C in this file")
    chains = list(kept.values())
    plddt = np.concatenate([chain.b_factors for chain in chains]).astype(np.float32)
    return FileStructure(
        _name(path),
        tuple(chain.sequence for chain in chains),
        np.concatenate([chain.positions for chain in chains]),
        np.concatenate([chain.atom_mask for chain in chains]),
        plddt,
        _of_atoms(plddt),
        ptm=float("nan"),
        names=_named(list(kept)),
        labels=tuple(label for chain in chains for label in chain.labels),
        predicted=_is_predicted(read_text(path), atoms),
    )


def _chain(atoms: Any) -> _Chain:
    import biotite.structure as struc

    sequence, positions, atom_mask = residue_arrays(atoms)
    with_b = atoms.copy()
    with_b.coord = np.repeat(atoms.b_factor[:, None], 3, axis=1)
    b_factors = residue_arrays(with_b)[1][:, ATOM_ORDER["CA"], 0]
    first = atoms[struc.get_residue_starts(atoms)]
    labels = [f"{number}{code}".strip() for number, code in zip(first.res_id, first.ins_code, strict=True)]
    rows = _whole(atom_mask)
    letters = "".join(sequence[row] for row in rows)
    return _Chain(letters, [labels[row] for row in rows], positions[rows], atom_mask[rows], b_factors[rows])


def _whole(atom_mask: np.ndarray) -> np.ndarray:
    """Rows of the residues that have N, CA and C."""
    return np.flatnonzero(atom_mask[:, _BACKBONE].all(axis=1))


def _of_atoms(plddt: np.ndarray) -> np.ndarray:
    return np.repeat(plddt[:, None], 37, axis=1)


def _named(names: Sequence[str]) -> tuple[str, ...]:
    """The chains' names; one without any has the first letter that is free."""
    free = (letter for letter in map(chain_label, range(len(names) + 1)) if letter not in names)
    return tuple(name if name.strip() else next(free) for name in names)


def _is_predicted(text: str, atoms: Any) -> bool:
    """By what the file says; of one that says nothing, by B-factors of 0 to 100 that the atoms of a residue share.

    This is how predictors write pLDDT. In an experiment each atom has its own.
    """
    if any(word in text for word in _PREDICTED):
        return True
    if any(word in text for word in _MEASURED):
        return False
    import biotite.structure as struc

    starts = struc.get_residue_starts(atoms)
    of_first = struc.spread_residue_wise(atoms, atoms.b_factor[starts])
    shared, several = (atoms.b_factor == of_first).all(), len(atoms) > len(starts)
    low, high = atoms.b_factor.min(), atoms.b_factor.max()
    return bool(shared and several and 0 <= low < high <= 100)


def _is_number(label: str) -> bool:
    return label.removeprefix("-").isdecimal()


def _name(path: Path) -> str:
    name = path.name
    for ending in _ENDINGS:
        name = name.removesuffix(ending)
    return readable(name)
