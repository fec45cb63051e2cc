"""The page of a comparison: superimposed pairs of structures, and how far each residue is from its partner."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..predictions.prediction import Prediction
from .compared import Pair, Side
from .known import has_plddt
from .packed import block, plain_json
from .page import Column, Page
from .run import number
from .run_page import run_settings, run_summary
from .structure_data import pair_data

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
        Column("residues", "Residues", "part", "Residues that both have, of those of the longer one"),
        Column("rmsd", "RMSD", "angstrom", "Of the CA atoms of the residues that both have, superimposed; Angstrom"),
        Column("tm", "TM-score", "fraction", f"0 to 1, at its own best superposition, by the length of {labels[1]}"),
        Column(
            "lddt",
            "lDDT-CA",
            "fraction",
            "Local distance difference test over the residues that both have, 0 to 1: needs no superposition",
        ),
        Column("largest", "Largest", "angstrom", "Largest distance of CA atoms, superimposed; Angstrom"),
        Column("plddt", f"pLDDT {labels[0]}", "plddt", f"Mean predicted lDDT in {labels[0]}"),
        Column("reference_plddt", f"pLDDT {labels[1]}", "plddt", f"Mean predicted lDDT in {labels[1]}"),
        Column("status", "Status", "status", "failed: different proteins, or a file that cannot be read"),
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
    }
    found = pair.comparison
    figures: dict[str, float | int | None] = (
        {}
        if found is None
        else {
            "residues": len(found.distance),
            "residues_whole": max(found.moved.length, found.reference.length),
            "rmsd": found.ca_rmsd_angstrom,
            "tm": found.tm_score,
            "lddt": found.lddt_ca,
            "largest": float(found.distance.max()),
        }
    )
    figures["plddt"] = _mean_plddt(a, ours, found.moved if found else None)
    figures["reference_plddt"] = _mean_plddt(b, theirs, found.reference if found else None)
    keys = ("residues", "residues_whole", "rmsd", "tm", "lddt", "largest", "plddt", "reference_plddt")
    return {**entry, **{key: number(figures.get(key)) for key in keys}}


def _mean_plddt(side: Side, name: str, structure: Prediction | None) -> float | int | None:
    record = side.record(name)
    if record:
        return number(record.line.get("mean_plddt"))
    return structure.mean_plddt if structure is not None and has_plddt(structure) else None


def _payload(a: Side, b: Side, pair: Pair, labels: tuple[str, str]) -> dict[str, Any]:
    if pair.comparison is None:
        return {"facts": [], "notes": _notes(a, b, pair, labels)}
    found = pair.comparison
    plddt = _plddt(a, pair.names[0], found.moved), _plddt(b, pair.names[1], found.reference)
    drawn = pair_data(found, labels, plddt)
    return {**drawn, "facts": [], "notes": _notes(a, b, pair, labels)}  # last: reading the files may add to them


def _notes(a: Side, b: Side, pair: Pair, labels: tuple[str, str]) -> list[str]:
    """What one should know before believing what is shown."""
    notes = [pair.reason] if pair.reason else []
    alone = pair.comparison.unmatched_chains if pair.comparison else ((), ())
    for side, label, name, chains in zip((a, b), labels, pair.names, alone, strict=True):
        if chains:
            notes.append(f"{label}: nothing to compare with chain {', '.join(chains)}")
        record = side.record(name)
        if record and record.line.get("reason"):
            notes.append(f"{label}: {record.line['reason']}")
        notes += [f"{label}: {text}" for text in record.complaints] if record else []
    return notes


def _plddt(side: Side, name: str, structure: Prediction) -> np.ndarray | None:
    """Shape (L,), 0 to 100; None where the B-factors of the file may be something else."""
    record = side.record(name)
    stated = has_plddt(structure) if record is None else record.plddt is not None
    return structure.plddt if stated else None


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
