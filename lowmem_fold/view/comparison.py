"""Two structures of one protein, one laid on the other: a prediction on another one, or on the experiment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..metrics import Superposition, lddt_per_residue, superpose, tm_score
from ..metrics import lddt as lddt_of
from ..prediction import Prediction
from ..residues import ATOM_ORDER
from .known import Shown, as_prediction

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Comparison", "compare"]

_CA = ATOM_ORDER["CA"]
_FEWEST = 3  # residues: two points can be laid on each other in many ways
_LEAST_IDENTITY = 0.3  # of the shorter one: below it an alignment of sequences says little of which residue is which


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """A structure on the other, superposed by the CA atoms of the N residues that both have. Made by `compare`.

    Attributes
    ----------
    moved : Prediction
        The first structure, whole, where it lies on the second.
    reference : Prediction
        The second. Either has ``ptm`` NaN where it is no prediction.
    moved_rows, reference_rows : ndarray, shape=(N,), dtype=int64
        Rows of the residues that are one another.
    distance : ndarray, shape=(N,), dtype=float64
        Between their CA atoms, Angstrom.
    local_lddt : ndarray, shape=(N,), dtype=float64
        lDDT-CA of each, 0 to 1; NaN without a neighbour.
    ca_rmsd_angstrom : float
        The least there is, as the structures are superposed by it.
    tm_score : float
        At its own best superposition, over the N residues.
    lddt_ca : float
        Over the N residues, 0 to 1.
    superposition : Superposition
        The motion that ``moved`` has made.
    """

    moved: Prediction
    reference: Prediction
    moved_rows: np.ndarray
    reference_rows: np.ndarray
    distance: np.ndarray
    local_lddt: np.ndarray
    ca_rmsd_angstrom: float
    tm_score: float
    lddt_ca: float
    superposition: Superposition

    def __repr__(self) -> str:
        return f"<{self.title}: {self.summary}>"

    @property
    def title(self) -> str:
        """Which structure lies on which."""
        return f"{self.moved.id} on {self.reference.id}"

    @property
    def summary(self) -> str:
        """The scores in a line."""
        return (
            f"{len(self.distance)} residues, CA-RMSD {self.ca_rmsd_angstrom:.2f} Å, TM-score {self.tm_score:.3f}, "
            f"lDDT-CA {self.lddt_ca:.3f}"
        )

    def view(self) -> Any:
        """Both as cartoons, the first coloured by its distance from the second, in grey: a `py3Dmol.view`.

        Raises
        ------
        InputError
            If py3Dmol is not installed.
        """
        from .overlay import view_comparison

        return view_comparison(self)

    def plot(self) -> Figure:
        """Distance and lDDT of each residue, and pLDDT where both have it. InputError without matplotlib."""
        from .figures import drawn
        from .overlay import draw_comparison

        return drawn(partial(draw_comparison, self))

    def plot_structure(self) -> Figure:
        """A still picture of what `view` shows. InputError without matplotlib."""
        from .figures import drawn
        from .overlay import draw_overlay

        return drawn(partial(draw_overlay, self))


def compare(a: Shown, b: Shown, *, names: tuple[str, str] | None = None) -> Comparison:
    """Lay one structure of a protein on another one, and say how far they are apart.

    Chains are taken in their order. Where the sequences differ, as of an experiment that did not see all residues,
    those are compared that an alignment of the sequences puts beside each other.

    Parameters
    ----------
    a, b : Prediction, Structure, str or Path
        Of a path: a PDB or mmCIF file, gzipped or not.
    names : tuple of str, optional
        What to call them; by default by their ids.

    Raises
    ------
    InputError
        A file cannot be read, a position is not finite, or the two are not of one protein.
    """
    moved, reference = as_prediction(a), as_prediction(b)
    if names is not None:
        moved, reference = replace(moved, id=names[0]), replace(reference, id=names[1])
    rows, reference_rows = _matched(moved, reference)
    ca, known = moved.positions[rows, _CA], reference.positions[reference_rows, _CA]
    fit = superpose(ca, known)
    lddt_ca, local = _lddt(ca, known)
    return Comparison(
        moved=replace(moved, positions=fit.apply(moved.positions).astype(np.float32)),
        reference=reference,
        moved_rows=rows,
        reference_rows=reference_rows,
        distance=np.linalg.norm(fit.apply(ca) - known, axis=1),
        local_lddt=local,
        ca_rmsd_angstrom=fit.rmsd,
        tm_score=tm_score(ca, known),
        lddt_ca=lddt_ca,
        superposition=fit,
    )


def _lddt(ca: np.ndarray, known: np.ndarray) -> tuple[float, np.ndarray]:
    arrays = ca[:, None], known[:, None], np.ones((len(ca), 1), dtype=bool)
    return lddt_of(*arrays), lddt_per_residue(*arrays)


def _matched(a: Prediction, b: Prediction) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the residues that are one another and have a CA in both."""
    rows = np.tile(np.arange(a.length), (2, 1)) if a.chains == b.chains else _aligned(a, b)
    there = a.atom_mask[rows[0], _CA] & b.atom_mask[rows[1], _CA]
    if there.sum() < _FEWEST:
        raise InputError(
            f"{a.id} and {b.id} have {there.sum()} residues with CA in common; {_FEWEST} are needed to superpose them"
        )
    return rows[0, there], rows[1, there]


def _aligned(a: Prediction, b: Prediction) -> np.ndarray:
    """Shape (2, n): by the best global alignment with free ends (Needleman-Wunsch; BLOSUM62, gaps cost 10 and 1)."""
    from biotite.sequence import ProteinSequence
    from biotite.sequence.align import SubstitutionMatrix, align_optimal

    ours, theirs = "".join(a.chains), "".join(b.chains)
    sequences = ProteinSequence(ours), ProteinSequence(theirs)
    matrix = SubstitutionMatrix.std_protein_matrix()
    found = align_optimal(*sequences, matrix, gap_penalty=(-10, -1), terminal_penalty=False, max_number=1)
    rows = found[0].trace.T
    rows = rows[:, (rows >= 0).all(axis=0)].astype(np.int64)
    same = sum(ours[i] == theirs[j] for i, j in rows.T)
    shorter = min(a.length, b.length)
    if same < _LEAST_IDENTITY * shorter:
        raise InputError(
            f"{a.id} and {b.id} are not of one protein: {same} of {shorter} residues are the same where their "
            "sequences are aligned"
        )
    return rows
