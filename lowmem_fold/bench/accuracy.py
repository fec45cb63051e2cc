"""How far a prediction is from another one of the same chain, and from the experiment; and what that says of many.

Outputs are a mapping of arrays, whichever code made them:

| key | shape | unit |
|---|---|---|
| `positions` | (L, 37, 3) | Angstrom, zero where there is no atom |
| `plddt` | (L,) | 0 to 100, of CA |
| `ptm` | () | 0 to 1 |
| `pae` | (L, L) | Angstrom |
| `distogram_logits` | (L, L, bins) | |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..metrics import all_atom_rmsd, contact_agreement, distogram_kl, gdt_ts, lddt, representative_atoms, rmsd, tm_score
from ..predictions.structures import Structure
from ..sequences.residues import ATOM_ORDER

__all__ = ["Outputs", "Summary", "against_experiment", "bootstrap_interval", "compare", "summary"]

Outputs = Mapping[str, Any]

_CA = ATOM_ORDER["CA"]
_RESAMPLES = 10_000
_SCORES = ("tm_score", "lddt_ca", "gdt_ts", "contact_precision", "contact_recall", "contact_f1")


class Summary(NamedTuple):
    """Of one quantity over many proteins. worst: the smallest score, or the difference furthest from zero. interval:
    where the median lies with 95 % confidence."""

    median: float
    worst: float
    interval: tuple[float, float]


def compare(outputs: Outputs, reference: Outputs) -> dict[str, float]:
    """How far one prediction is from another of the same chain.

    Returns
    -------
    dict of str to float
        ``ca_rmsd_angstrom``, ``all_atom_rmsd_angstrom`` (after a fit on CA), ``tm_score``, ``lddt_ca``,
        ``plddt_difference`` (points of the mean, its own less the reference's), ``pae_error_angstrom`` (mean absolute),
        ``distogram_kl_nats`` (from the reference).

    Raises
    ------
    InputError
        The two are not of one length, or a position is not finite.
    """
    ca, before = outputs["positions"][:, _CA], reference["positions"][:, _CA]
    found = {
        "ca_rmsd_angstrom": rmsd(ca, before),
        "all_atom_rmsd_angstrom": _all_atom_rmsd(outputs["positions"], reference["positions"]),
        "tm_score": tm_score(ca, before),
        "lddt_ca": _lddt_ca(ca, before),
        "plddt_difference": np.mean(outputs["plddt"]) - np.mean(reference["plddt"]),
        "pae_error_angstrom": np.abs(outputs["pae"] - reference["pae"]).mean(),
        "distogram_kl_nats": distogram_kl(outputs["distogram_logits"], reference["distogram_logits"]),
    }
    return {name: float(value) for name, value in found.items()}


def against_experiment(outputs: Outputs, structure: Structure) -> dict[str, float]:
    """How near a prediction comes to the known structure, over the residues whose CA was seen; all from 0 to 1.

    Returns
    -------
    dict of str to float
        ``tm_score``, ``lddt_ca``, ``gdt_ts``; ``contact_precision``, ``contact_recall`` and ``contact_f1`` of contacts
        between CB (CA where the experiment has no CB) less than 8 Angstrom apart, of residues 6 or more apart in
        sequence (`metrics.contact_agreement` has the formula). What is not defined, as of a chain without contacts, is
        left out.
    """
    seen = structure.atom_mask[:, _CA]
    ca, known = outputs["positions"][seen, _CA], structure.ca[seen]
    contacts = contact_agreement(
        *(representative_atoms(p, structure.atom_mask)[seen] for p in (outputs["positions"], structure.positions))
    )
    found = {
        "tm_score": tm_score(ca, known),
        "lddt_ca": _lddt_ca(ca, known),
        "gdt_ts": gdt_ts(ca, known),
        **{f"contact_{name}": value for name, value in contacts._asdict().items()},
    }
    return {name: float(value) for name, value in found.items() if np.isfinite(value)}


def summary(name: str, values: Sequence[float]) -> Summary:
    """Of the values that `compare` or `against_experiment` gave under a name, which may have a prefix; not of none."""
    found = np.asarray(values, dtype=np.float64)
    worst = found.min() if name.endswith(_SCORES) else found[np.abs(found).argmax()]
    return Summary(float(np.median(found)), float(worst), bootstrap_interval(values))


def bootstrap_interval(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """Where the median lies with 95 % confidence, by the percentile bootstrap (Efron, Ann. Statist. 7, 1, 1979).

    The values are drawn anew, with replacement, 10,000 times; the interval leaves out 2.5 % of the medians on each
    side. Of few values (under about 20) it is too narrow, and of one it is no interval.
    """
    found = np.asarray(values, dtype=np.float64)
    drawn = np.random.default_rng(seed).integers(len(found), size=(_RESAMPLES, len(found)))
    low, high = np.percentile(np.median(found[drawn], axis=1), [2.5, 97.5])
    return float(low), float(high)


def _all_atom_rmsd(positions: np.ndarray, reference: np.ndarray) -> float:
    there = (positions != 0).any(axis=-1) & (reference != 0).any(axis=-1)
    return all_atom_rmsd(positions, reference, there)


def _lddt_ca(ca: np.ndarray, reference: np.ndarray) -> float:
    return lddt(ca[:, None], reference[:, None], np.ones((len(ca), 1), dtype=bool))
