"""Whether a prediction can be true: whether its CA atoms can be those of a protein (how far neighbours are apart,
clashes, and extent), and whether its confidence goes with them.

What real chains have, by ``python -m benchmarks.plausibility FILE`` (``benchmarks/results/plausibility.jsonl``; 14,015
chains of 20 to 256 residues from the Protein Data Bank, and the 50 of ``benchmarks/data/ts50``), beside the limits:

==================================================  =======================================  ===========
measure                                             of real chains                           limit
==================================================  =======================================  ===========
neighbours in the chain not 3.8 Angstrom apart      at most 13 %                             25 %
residues that clash                                 none; the nearest two are 2.9 A apart    25 %
radius of gyration / L^(1/3)                        at least 2.329 A                         1.8 A
rise, of 20 to 59 residues                          at most 3.011 A                          3.65 A
rise, of 60 residues and more                       at most 1.835 A                          3.2 A
==================================================  =======================================  ===========

The limits hold at any length, though no longer chain was measured. A ball filled as densely as proteins are, 133 cubic
Angstrom a residue, has a radius of gyration of 2.45 L^(1/3) Angstrom at every L; the limit stands for more than twice
that density. The rise is the step along the axis of a straight chain that has the same radius of gyration: 1.5 Angstrom
of an alpha helix or a coiled coil, 2.9 of collagen, 3.1 of polyproline II, 3.4 of a strand; a fully stretched peptide
has 3.63. So every real chain may be alone and straight, and only a long one may not be a single strand from end to end.
A quarter of the residues has to clash, since poor folds clash in places, and a low pLDDT says that of them: up to 14 %
of a chain where the demo model folds ``benchmarks/data/ts50.fasta`` without recycles.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..sequences.residues import ATOM_ORDER

if TYPE_CHECKING:
    from .atoms import Writable

__all__ = ["ChainGeometry", "geometry_problems", "measure_chains", "prediction_problems"]

#: A pTM of this or more is wrong with a mean pLDDT below the other, or where the chains cannot be true: broken folds of
#: long chains were reported with pTM 0.999, one with a mean pLDDT of 29, one with 88 (facebookresearch/esm, issues 560
#: and 641).
PERFECT_PTM = 0.99
MIN_PLDDT_OF_PERFECT_PTM = 70.0

_CA_SPACING = (3.3, 4.3)  # Angstrom; consecutive CA atoms of a trans peptide are 3.8 apart
_CIS_SPACING = (2.6, 3.3)  # before a proline the peptide may be cis: 2.9
_MAX_BROKEN = 0.25  # fraction of a chain's CA-CA distances that may lie outside
_CLASH = 2.0  # Angstrom between CA atoms of residues that are not neighbours
_MAX_CLASHING = 0.25  # fraction of a chain's residues
_MIN_COMPACTNESS = 1.8  # Angstrom: radius of gyration over the cube root of the number of residues
_MAX_RISE = 3.65  # Angstrom a residue
_MAX_LONG_RISE = 3.2  # of a long chain
_LONG = 60  # residues
_MIN_CHAIN = 3  # residues: fewer have no spacing to judge
_MIN_EXTENT_CHAIN = 20  # residues: the shortest chains that were measured


@dataclass(frozen=True)
class ChainGeometry:
    """What the CA atoms of a chain measure.

    Attributes
    ----------
    length : int
        Residues of the chain, with or without a CA.
    ca_count : int
        CA atoms with finite coordinates; all else is of these.
    median_spacing : float
        Of consecutive CA atoms, Angstrom; NaN without any.
    broken : float
        Fraction of the consecutive CA atoms that are not 3.8 Angstrom apart, or 2.9 before a proline.
    clashing : float
        Fraction of the CA atoms that have one within 2 Angstrom, of any chain, which is not that of a neighbour.
    radius_of_gyration : float
        Angstrom; NaN without a CA.
    """

    length: int
    ca_count: int
    median_spacing: float
    broken: float
    clashing: float
    radius_of_gyration: float

    @property
    def compactness(self) -> float:
        """Radius of gyration over the cube root of the number of CA atoms, Angstrom."""
        return self.radius_of_gyration / float(np.cbrt(max(self.ca_count, 1)))

    @property
    def rise(self) -> float:
        """Step a residue, Angstrom, of equal steps on a line with this radius of gyration, d sqrt((L^2 - 1) / 12)."""
        return self.radius_of_gyration / _straight(self.length, 1.0) if self.length > 1 else 0.0

    def problems(self, name: str) -> Iterator[str]:
        """Say in a line each why the chain of this name cannot be true; nothing of fewer than three residues."""
        if self.length < _MIN_CHAIN:
            return
        if self.broken > _MAX_BROKEN:
            yield (
                f"chain {name} is broken: {self.broken:.0%} of its consecutive CA atoms are not "
                f"{_CA_SPACING[0]} to {_CA_SPACING[1]} Angstrom apart (median {self.median_spacing:.2f})"
            )
        if self.clashing > _MAX_CLASHING:
            yield (
                f"chain {name} clashes: {self.clashing:.0%} of its CA atoms are within {_CLASH:g} Angstrom of one "
                "that is not a neighbour's"
            )
        if self.length < _MIN_EXTENT_CHAIN:
            return
        residues, radius = (
            f"{self.length:,} residues",
            f"a radius of gyration of {self.radius_of_gyration:,.1f} Angstrom",
        )
        if self.ca_count >= _MIN_EXTENT_CHAIN and self.compactness < _MIN_COMPACTNESS:
            least = _MIN_COMPACTNESS * self.ca_count ** (1 / 3)
            yield f"chain {name} is too compact: {radius}, where {residues} have {least:,.1f} or more"
        most = _MAX_LONG_RISE if self.length >= _LONG else _MAX_RISE
        if self.rise > most:
            longest = _straight(self.length, most)
            yield f"chain {name} is too extended: {radius}, where {residues} have at most {longest:,.1f}"


def prediction_problems(prediction: Writable) -> tuple[str, ...]:
    """Say in a line each why a prediction cannot be true, as `Prediction.problems` has it."""
    ca = ATOM_ORDER["CA"]
    geometry = geometry_problems(
        prediction.positions[:, ca], prediction.atom_mask[:, ca], prediction.chains, prediction.chain_ids
    )
    found = [_not_finite(prediction), _wrongly_perfect(prediction, bool(geometry)), *geometry]
    return tuple(reason for reason in found if reason)


def _not_finite(prediction: Writable) -> str | None:
    values = {
        "coordinates": prediction.positions[prediction.atom_mask],
        "pLDDT": prediction.plddt,
        "pTM": np.array(prediction.ptm),
        "ipTM": np.array(0.0 if prediction.iptm is None else prediction.iptm),
        "PAE": np.zeros(0) if prediction.pae is None else prediction.pae,
    }
    bad = [name for name, array in values.items() if not np.isfinite(array).all()]
    return f"the output is not finite: {', '.join(bad)}" if bad else None


def _wrongly_perfect(prediction: Writable, broken: bool) -> str | None:
    ptm, mean = prediction.ptm, prediction.mean_plddt
    if ptm >= PERFECT_PTM and broken:
        return f"pTM {ptm:.3f} of a structure that cannot be true (mean pLDDT {mean:.1f})"
    if ptm >= PERFECT_PTM and mean < MIN_PLDDT_OF_PERFECT_PTM:
        return f"pTM {ptm:.3f} with a mean pLDDT of {mean:.1f}: one of them is wrong"
    return None


def geometry_problems(ca: np.ndarray, exists: np.ndarray, chains: Sequence[str], names: Sequence[str]) -> list[str]:
    """Say in a line each why the chains cannot be true, by their spacing, clashes and extent.

    Parameters
    ----------
    names : sequence of str
        What to call the chains. The others are those of `measure_chains`.
    """
    measured = measure_chains(ca, exists, chains)
    return [reason for name, chain in zip(names, measured, strict=True) for reason in chain.problems(name)]


def measure_chains(ca: np.ndarray, exists: np.ndarray, chains: Sequence[str]) -> list[ChainGeometry]:
    """Measure each chain of a structure.

    Parameters
    ----------
    ca : ndarray, shape=(L, 3)
        Angstrom, the CA atoms of all chains in a row.
    exists : ndarray, shape=(L,), dtype=bool
        Which of them there are; those that are not finite are left out as well.
    chains : sequence of str
        The sequences.
    """
    ca = ca.astype(np.float64)
    exists = exists & np.isfinite(ca).all(axis=-1)
    ends = np.cumsum([len(chain) for chain in chains])
    starts = ends - [len(chain) for chain in chains]
    # Numbers of which only those of neighbours in a chain differ by one.
    clashing = _clashing(ca, exists, np.arange(len(ca)) + np.repeat(np.arange(len(chains)), ends - starts))
    return [
        _measure(ca[start:end], exists[start:end], clashing[start:end], chain)
        for start, end, chain in zip(starts, ends, chains, strict=True)
    ]


def _measure(ca: np.ndarray, exists: np.ndarray, clashing: np.ndarray, chain: str) -> ChainGeometry:
    bonded = exists[1:] & exists[:-1]
    spacing = np.linalg.norm(ca[1:][bonded] - ca[:-1][bonded], axis=-1)
    proline = np.array([letter == "P" for letter in chain[1:]], dtype=bool)[bonded]
    good = _within(spacing, _CA_SPACING) | (proline & _within(spacing, _CIS_SPACING))
    there = ca[exists]
    return ChainGeometry(
        length=len(chain),
        ca_count=len(there),
        median_spacing=float(np.median(spacing)) if len(spacing) else np.nan,
        broken=float(np.mean(~good)) if len(good) else 0.0,
        clashing=float(np.mean(clashing[exists])) if len(there) else 0.0,
        radius_of_gyration=float(np.sqrt(there.var(axis=0).sum())) if len(there) else np.nan,
    )


def _clashing(ca: np.ndarray, exists: np.ndarray, number: np.ndarray) -> np.ndarray:
    """Mark the atoms with another one within `_CLASH` whose number differs by more than one; shape (L,), dtype bool.

    Along the axis of the largest extent each is compared with the next, with the next but one and so on, until none are
    near: memory for L numbers, and time for L^2 only where all lie in one place.
    """
    found = np.zeros(len(ca), dtype=bool)
    rows = np.flatnonzero(exists)
    if not len(rows):
        return found
    axis = np.ptp(ca[rows], axis=0).argmax()
    rows = rows[ca[rows, axis].argsort(kind="stable")]
    points = ca[rows]
    for shift in range(1, len(rows)):
        near = np.flatnonzero(points[shift:, axis] - points[:-shift, axis] < _CLASH)
        if not len(near):
            break
        apart = np.linalg.norm(points[near + shift] - points[near], axis=-1)
        a, b = rows[near], rows[near + shift]
        clash = (apart < _CLASH) & (np.abs(number[a] - number[b]) > 1)
        found[a[clash]] = found[b[clash]] = True
    return found


def _straight(length: int, rise: float) -> float:
    """Give the radius of gyration of equal steps on a line, Angstrom."""
    return rise * float(np.sqrt((length**2 - 1) / 12))


def _within(values: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
    return (values >= bounds[0]) & (values <= bounds[1])
