"""Two structures of one protein, superimposed: a prediction and another one, or the experiment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..metrics import Superposition, lddt_per_residue, superpose, tm_score
from ..metrics import lddt as lddt_of
from ..predictions.prediction import Prediction
from ..sequences.residues import ATOM_ORDER
from .known import Shown, as_prediction
from .matching import matched

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Comparison", "compare"]

_CA = ATOM_ORDER["CA"]
_FEWEST = 3  # residues: two points can be superimposed in many ways


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """A structure superimposed on another one by the CA atoms of the N residues that both have. Made by `compare`.

    Attributes
    ----------
    moved : Prediction
        The first structure, whole, superimposed on the second.
    reference : Prediction
        The second. Either has ``ptm`` NaN where it is no prediction.
    moved_rows, reference_rows : ndarray, shape=(N,), dtype=int64
        Rows of the residues that are one another.
    distance : ndarray, shape=(N,), dtype=float64
        Between their CA atoms, Angstrom.
    local_lddt : ndarray, shape=(N,), dtype=float64
        lDDT-CA of each, 0 to 1; NaN without a neighbour.
    ca_rmsd_angstrom : float
        The least there is, as the structures are superimposed by it.
    tm_score : float
        At its own best superposition. Normalised by the length of the reference, all of its residues with a CA: those
        that the first structure lacks count nothing.
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

    def _repr_html_(self) -> str:
        from .overlay import comparison_html

        return comparison_html(self)

    @property
    def title(self) -> str:
        """Which structure is superimposed on which."""
        return f"{self.moved.id} on {self.reference.id}"

    @property
    def residues(self) -> str:
        """How many are compared, and of how many where that is not all of both structures."""
        count, longer = len(self.distance), max(self.moved.length, self.reference.length)
        return f"{count} residues" if count == longer else f"{count} of {longer} residues"

    @property
    def unmatched_chains(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names of the chains of the first structure and of the second of which no residue is compared."""
        sides = (self.moved, self.moved_rows), (self.reference, self.reference_rows)
        ours, theirs = (
            tuple(np.array(side.chain_ids)[~np.isin(range(len(side.chains)), side.chain_index[rows])].tolist())
            for side, rows in sides
        )
        return ours, theirs

    @property
    def summary(self) -> str:
        """The scores in a line."""
        scores = [f"{name} {value}" for name, value in self.headline().items() if name != "residues"]
        return ", ".join([self.residues, *scores])

    def headline(self) -> dict[str, str]:
        """Return what a line or a table says of it: the residues that are compared, and the scores, by name."""
        return {
            "residues": self.residues.removesuffix(" residues"),
            "CA-RMSD": f"{self.ca_rmsd_angstrom:.2f} Å",
            "TM-score": f"{self.tm_score:.3f}",
            "lDDT-CA": f"{self.lddt_ca:.3f}",
        }

    def view(self) -> Any:
        """Return a `py3Dmol.view` of both, the first coloured by its distance from the second, which is grey.

        It needs no network: each output holds 3Dmol.js too, 0.2 MB beside the structures as text.

        Raises
        ------
        InputError
            If py3Dmol is not installed.
        """
        from .overlay import view_comparison

        return view_comparison(self)

    def plot(self) -> Figure:
        """Distance and lDDT of each residue, and pLDDT where both have it. InputError without matplotlib."""
        from .overlay import comparison_figure

        return comparison_figure(self)

    def plot_structure(self) -> Figure:
        """A still picture of what `view` shows. InputError without matplotlib."""
        from .overlay import overlay_figure

        return overlay_figure(self)


def compare(a: Shown, b: Shown, *, names: tuple[str, str] | None = None) -> Comparison:
    """Superimpose one structure of a protein on another one, and say how far they are apart.

    Where the chains' sequences differ, as of an experiment that did not see all residues, those are compared that an
    alignment puts beside each other, of the chains that are most alike: see `matching.matched`.

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
    rows, reference_rows = _common(moved, reference)
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
        tm_score=tm_score(ca, known, length=int(reference.atom_mask[:, _CA].sum())),
        lddt_ca=lddt_ca,
        superposition=fit,
    )


def _lddt(ca: np.ndarray, known: np.ndarray) -> tuple[float, np.ndarray]:
    arrays = ca[:, None], known[:, None], np.ones((len(ca), 1), dtype=bool)
    return lddt_of(*arrays), lddt_per_residue(*arrays)


def _common(a: Prediction, b: Prediction) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the residues that are one another and have a CA in both."""
    rows = matched(a, b)
    there = a.atom_mask[rows[0], _CA] & b.atom_mask[rows[1], _CA]
    if there.sum() < _FEWEST:
        raise InputError(
            f"{a.id} and {b.id} have {there.sum()} residues with CA in common; {_FEWEST} are needed to superimpose them"
        )
    return rows[0, there], rows[1, there]
