"""The structures of a record as page and notebook hold them: text, names of residues, and a value of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..predictions.prediction import Prediction
from .known import has_plddt, residue_labels

if TYPE_CHECKING:
    from .comparison import Comparison

__all__ = ["pair_data", "structure_data"]


def structure_data(structure: Prediction) -> dict[str, Any]:
    """Return one structure, with its pLDDT if it has one, in the form that ``structure.js`` draws; JSON-able.

    Raises
    ------
    LowmemFoldError
        Coordinates or pLDDT are not finite.
    """
    plddt = structure.plddt if has_plddt(structure) else None
    return {
        "models": [{**_model(structure, structure.id), "file": structure.id, "plddt": _rounded(plddt)}],
        "chains": _chains(structure),
        "sequence": "".join(structure.chains),
    }


def pair_data(
    found: Comparison, labels: tuple[str, str], plddt: tuple[np.ndarray | None, np.ndarray | None]
) -> dict[str, Any]:
    """Return two superimposed structures, what they are called, and the pLDDT of each, shape (L,), that has one."""
    distance = _rounded(_at_rows(found.moved.length, found.moved_rows, found.distance))
    ours, theirs = plddt
    beside = None if theirs is None else _at_rows(found.moved.length, found.moved_rows, theirs[found.reference_rows])
    return {
        "models": [
            {**_model(found.moved, labels[0]), "plddt": _rounded(ours)},
            {**_model(found.reference, labels[1]), **_own_rows(found), "plddt": _rounded(beside)},
        ],
        "chains": _chains(found.moved),
        "sequence": "".join(found.moved.chains),
        "distance": distance,
        "curves": [
            {"kind": "distance", "title": "Distance of each residue, Å", "series": [{"name": "", "values": distance}]},
            *_plddt_curve(labels, ours, beside),
        ],
    }


def _plddt_curve(labels: tuple[str, str], *values: np.ndarray | None) -> list[dict[str, Any]]:
    series = [
        {"name": label, "values": _rounded(each)}
        for label, each in zip(labels, values, strict=True)
        if each is not None
    ]
    return [{"kind": "plddt", "title": "pLDDT of each residue", "series": series}] if series else []


def _model(structure: Prediction, label: str) -> dict[str, Any]:
    try:
        text, form = structure.to_pdb(), "pdb"
    except InputError:  # more than its columns hold
        text, form = structure.to_cif(), "cif"
    return {"name": label, "file": f"{structure.id} {label}".replace("/", "_"), "format": form, "text": text}


def _own_rows(found: Comparison) -> dict[str, Any]:
    """The reference's residues, and which row of the moved structure each of them is."""
    places = np.full(found.reference.length, -1)
    places[found.reference_rows] = found.moved_rows
    return {
        "chains": _chains(found.reference),
        "places": [None if place < 0 else int(place) for place in places],
    }


def _chains(structure: Prediction) -> list[dict[str, Any]]:
    """As structure files name and number them; ``labels`` where the authors' are others."""
    labels, numbers = np.array(residue_labels(structure)), structure.residue_number
    chains = []
    for index, id in enumerate(structure.chain_ids):
        own = structure.chain_index == index
        said = {} if (labels[own] == numbers[own].astype(str)).all() else {"labels": labels[own].tolist()}
        chains.append({"id": id, "numbers": numbers[own].tolist(), **said})
    return chains


def _at_rows(length: int, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Shape (L,): the values at their rows, NaN elsewhere."""
    everywhere = np.full(length, np.nan)
    everywhere[rows] = values
    return everywhere


def _rounded(values: np.ndarray | None) -> list[float | None] | None:
    if values is None:
        return None
    return [None if not np.isfinite(value) else round(float(value), 2) for value in values]
