"""Folders as a run writes them, of structures that took no model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lowmem_fold.predictions.prediction import Prediction
from lowmem_fold.run.options import RunOptions
from lowmem_fold.run.output import OutputFolder
from lowmem_fold.sequences.fasta import parse_sequence
from lowmem_fold.sequences.records import Record

__all__ = ["CONFIG", "NOTES", "failed", "with_plddt", "written"]

CONFIG: dict[str, Any] = {
    "settings": {"model": "demo", "num_recycles": 3, "recycle_tolerance": None},
    "model": {"model": "demo", "precision": "int8", "resolved_precision": "int8", "device": "cpu"},
    "device_name": "a card",
    "versions": {"lowmem_fold": "0.1.0"},
    "started": "2026-01-02T03:04:05+00:00",
}
NOTES: dict[str, Any] = {
    "header": "",
    "warnings": [],
    "status": "ok",
    "reason": None,
    "seconds": 1.5,
    "peak_bytes": 3 * 2**29,
    "peak_meter": "allocator",
    "device": "cpu",
}


def written(
    folder: Path,
    predictions: Iterable[Prediction | tuple[Prediction, Mapping[str, Any]]],
    failures: Iterable[Record] = (),
    **options: Any,
) -> Path:
    """A run's folder with these predictions (and notes that are other than `NOTES`); failures stand last."""
    output, chosen = OutputFolder(folder), RunOptions(model="demo", **options)
    with output.opened():
        output.begin(CONFIG)
        for entry in predictions:
            prediction, notes = entry if isinstance(entry, tuple) else (entry, {})
            output.save(prediction, {**NOTES, **notes}, chosen)
        for record in failures:
            output.save_failure(record, {**NOTES, "status": "failed", "reason": "out of memory: <b>6 GiB</b>"})
    return folder


def failed(id: str) -> Record:
    return parse_sequence("ACDEFGHIK", id)


def with_plddt(prediction: Prediction, values: np.ndarray | float) -> dict[str, Any]:
    """Fields of a prediction that has this pLDDT."""
    plddt = np.broadcast_to(np.float32(values), (prediction.length,)).copy()
    return {"plddt": plddt, "atom_plddt": np.repeat(plddt[:, None], 37, axis=1)}
