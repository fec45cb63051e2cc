"""The page of a comparison: pairs of structures laid on each other, and how far each residue is from its partner."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..prediction import Prediction
from .compared import Pair, Side
from .comparison import Comparison
from .packed import block, plain_json
from .page import Column, Page
from .run import number
from .run_page import run_settings, run_summary

__all__ = ["comparison_page"]

_DONE, _FAILED = "ok", "failed"


def comparison_page(a: Side, b: Side, pairs: Sequence[Pair]) -> Page:
    """Everything a page says of pairs of structures of two sides."""
    labels = _labels(a.path, b.path)
    entries = [_entry(a, b, pair) for pair in pairs]
    kept = [column for column in _columns(labels) if any(entry.get(column.key) is not None for entry in entries)]
    blocks = [
        block(f"record-{index}", plain_json(_payload(a, b, pair, labels)).encode("utf-8"))
        for index, pair in enumerate(pairs)
    ]
    settings = [
        (f"{label}: {name}", value)
        for side, label in zip((a, b), labels, strict=True)
        for name, value in (run_settings(side.run) if side.run else [])
    ]
    return Page(" on ".join(labels), _subtitle(a, b, pairs, labels), settings, kept, entries, blocks)


def _columns(labels: tuple[str, str]) -> list[Column]:
    return [
        Column("id", "Record", "text"),
        Column("residues", "Residues", "integer", "Residues that both have"),
        Column("rmsd", "RMSD", "angstrom", "Of the CA atoms, superposed; Angstrom"),
        Column("tm", "TM-score", "fraction", "0 to 1, at its own best superposition"),
        Column("lddt", "lDDT-CA", "fraction", "Local distance difference test, 0 to 1: needs no superposition"),
        Column("largest", "Largest", "angstrom", "Largest distance of CA atoms, superposed; Angstrom"),
        Column("plddt", f"pLDDT {labels[0]}", "plddt", f"Mean predicted lDDT in {labels[0]}"),
        Column("reference_plddt", f"pLDDT {labels[1]}", "plddt", f"Mean predicted lDDT in {labels[1]}"),
        Column("status", "Status", "status", "failed: not of one protein, or a file cannot be read"),
    ]


def _labels(a: Path, b: Path) -> tuple[str, str]:
    """What the two sides are called: their last names, where these differ."""
    names = a.resolve().name, b.resolve().name
    return names if names[0] != names[1] else (str(a), str(b))


def _entry(a: Side, b: Side, pair: Pair) -> dict[str, Any]:
    ours, theirs = pair.names
    entry: dict[str, Any] = {
        "id": ours,
        "header": "" if ours == theirs else f"{ours} on {theirs}",
        "status": _DONE if pair.comparison else _FAILED,
        "drawn": pair.comparison is not None,
        "plddt": _mean_plddt(a, ours),
        "reference_plddt": _mean_plddt(b, theirs),
    }
    found = pair.comparison
    figures = (
        {}
        if found is None
        else {
            "residues": len(found.distance),
            "rmsd": found.ca_rmsd_angstrom,
            "tm": found.tm_score,
            "lddt": found.lddt_ca,
            "largest": float(found.distance.max()),
        }
    )
    keys = ("residues", "rmsd", "tm", "lddt", "largest")
    return {**entry, **{key: number(figures.get(key)) for key in keys}}


def _mean_plddt(side: Side, name: str) -> float | int | None:
    record = side.record(name)
    return number(record.line.get("mean_plddt")) if record else None


def _payload(a: Side, b: Side, pair: Pair, labels: tuple[str, str]) -> dict[str, Any]:
    notes = [pair.reason] if pair.reason else []
    for side, label, name in zip((a, b), labels, pair.names, strict=True):
        record = side.record(name)
        if record and record.line.get("reason"):
            notes.append(f"{label}: {record.line['reason']}")
    if pair.comparison is None:
        return {"facts": [], "notes": notes}
    found = pair.comparison
    distance = _rounded(_at_rows(found.moved.length, found.moved_rows, found.distance))
    ours, theirs = _plddt(a, pair.names[0], found.moved), _plddt(b, pair.names[1], found.reference)
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
        "facts": [],
        "notes": notes,
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
    return [
        {"id": id, "numbers": list(range(1, len(chain) + 1))}
        for id, chain in zip(structure.chain_ids, structure.chains, strict=True)
    ]


def _plddt(side: Side, name: str, structure: Prediction) -> np.ndarray | None:
    """Shape (L,), 0 to 100; None where the B-factors of the file may be something else."""
    record = side.record(name)
    return None if record is None or record.plddt is None else structure.plddt


def _at_rows(length: int, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Shape (L,): the values at their rows, NaN elsewhere."""
    everywhere = np.full(length, np.nan)
    everywhere[rows] = values
    return everywhere


def _rounded(values: np.ndarray | None) -> list[float | None] | None:
    if values is None:
        return None
    return [None if not np.isfinite(value) else round(float(value), 2) for value in values]


def _subtitle(a: Side, b: Side, pairs: Sequence[Pair], labels: tuple[str, str]) -> str:
    parts = [
        f"{label}: {run_summary(side.run)}" for side, label in zip((a, b), labels, strict=True) if side.run is not None
    ]
    alone = len(a.files) - len(pairs)
    failed = sum(pair.comparison is None for pair in pairs)
    parts.append(f"{len(pairs) - failed} compared")
    parts += [f"{failed} failed"] if failed else []
    parts += [f"{alone} of {labels[0]} without a partner in {labels[1]}"] if alone else []
    return " · ".join(parts)
