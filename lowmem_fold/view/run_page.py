"""The page of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..run.table import FAILED
from ..sequences.records import chain_label
from .packed import block, errors_of, plain_json
from .page import Column, Page
from .run import MISSING, Run, RunRecord, number

__all__ = ["run_page", "run_settings", "run_summary"]

_COLUMNS = (
    Column("id", "Record", "text"),
    Column("length", "Length", "integer", "Residues"),
    Column("mean_plddt", "pLDDT", "plddt", "Mean predicted lDDT of the residues, 0 to 100"),
    Column("ptm", "pTM", "fraction", "Predicted TM-score, 0 to 1"),
    Column("iptm", "ipTM", "fraction", "Predicted TM-score between the chains, 0 to 1"),
    Column("seconds", "Seconds", "seconds", "Time to fold it"),
    Column("peak_bytes", "Peak GiB", "bytes", "Most memory used while folding it, GiB"),
    Column(
        "status",
        "Status",
        "status",
        "suspect: folded, but the structure cannot be true; incomplete: written as mmCIF only, since PDB cannot hold "
        "it; failed: not folded",
    ),
)
#: Figures that not every run has.
_OPTIONAL = ("iptm",)

_FACTS = {
    "num_passes": "Passes through the trunk",
    "precision": "Precision, lower than requested",
    "placement": "Placement",
    "chunk_size": "Chunk size, rows of the pair state at once",
    "attempts": "Attempts",
    "batch_records": "Records in its batch",
    "device": "Device",
    "peak_meter": "Peak memory read from",
    "finished": "Finished",
    "mean_atom_plddt": "Mean pLDDT over atoms",
}
_NAMES = {"lowmem_fold": "lowmem-fold", "python": "Python", "device_name": "device"}


def run_page(run: Run) -> Page:
    """Everything a page says of a run; structures and maps of errors are packed.

    Parameters
    ----------
    run : Run
        What is found wrong in the files of its records is added to their ``complaints``.
    """
    entries = [_entry(record) for record in run.records]
    columns = [column for column in _COLUMNS if column.key not in _OPTIONAL or _any(entries, column.key)]
    blocks = [text for index, record in enumerate(run.records) for text in _blocks(index, record)]
    return Page(run.folder.resolve().name, _subtitle(run), run_settings(run), columns, entries, blocks)


def _entry(record: RunRecord) -> dict[str, Any]:
    line = record.line
    return {
        **{column.key: number(line.get(column.key)) for column in _COLUMNS},
        "id": record.id,
        "header": str(line.get("header") or ""),
        "length": record.length or number(line.get("length")),
        "status": record.status,
        "drawn": _is_drawn(record),
    }


def _any(entries: Sequence[dict[str, Any]], key: str) -> bool:
    return any(entry[key] is not None for entry in entries)


def _is_drawn(record: RunRecord) -> bool:
    return record.status not in (FAILED, MISSING) and record.length > 0


def _blocks(index: int, record: RunRecord) -> list[str]:
    payload: dict[str, Any] = {"facts": _facts(record)}
    blocks = []
    if _is_drawn(record):
        payload |= _drawn(record)
        pae = record.read_pae()
        if pae is not None:
            bins, errors = errors_of(pae)
            limit = number(record.line.get("max_pae")) or 31.75
            payload["errors"] = {"bins": bins, "limit": limit}
            blocks = [block(f"errors-{index}", errors)]
    payload["notes"] = _notes(record)  # last: reading the files may add to them
    return [block(f"record-{index}", plain_json(payload).encode("utf-8")), *blocks]


def _drawn(record: RunRecord) -> dict[str, Any]:
    path = record.structure_path
    assert path is not None, "a record without a structure is not drawn"
    text = path.read_text(encoding="utf-8", errors="replace")
    model = {"name": record.id, "file": record.id, "format": path.suffix[1:], "text": text, "plddt": record.plddt}
    return {
        "models": [model],
        "chains": [
            {"id": chain_label(place), "numbers": list(range(1, len(chain) + 1))}
            for place, chain in enumerate(record.chains)
        ],
        "sequence": "".join(record.chains),
        "curves": [
            {"kind": "plddt", "title": "pLDDT of each residue", "series": [{"name": "", "values": values}]}
            for values in [record.plddt]
            if values is not None
        ],
    }


def _notes(record: RunRecord) -> list[str]:
    """What one should know before believing what is shown."""
    notes = []
    if record.line.get("reason"):
        notes.append(str(record.line["reason"]))
    elif record.line.get("problems"):
        notes += map(str, record.line["problems"])
    if record.status == MISSING:
        notes.append("Its structure file is no longer in the folder.")
    notes += map(str, record.line.get("warnings") or [])
    return notes + record.complaints


def _facts(record: RunRecord) -> list[tuple[str, str]]:
    known = {key: record.line.get(key) for key in _FACTS}
    return [(_FACTS[key], str(value)) for key, value in known.items() if value is not None]


def _subtitle(run: Run) -> str:
    counts: dict[str, int] = {}
    for record in run.records:
        counts[record.status] = counts.get(record.status, 0) + 1
    listed = ", ".join(f"{count} {status}" for status, count in counts.items())
    return " · ".join(part for part in (run_summary(run), listed) if part)


def run_summary(run: Run) -> str:
    """Model, precision, device and time of a run, as far as it says them."""
    model = _dict(run.config.get("model"))
    parts = [
        model.get("model"),
        model.get("precision"),
        model.get("device"),
        str(run.config.get("started", "")).replace("T", " ").removesuffix("+00:00"),
    ]
    return " · ".join(str(part) for part in parts if part)


def run_settings(run: Run) -> list[tuple[str, str]]:
    """What ``config.json`` says of how a run was made: names and values."""
    model, versions = _dict(run.config.get("model")), _dict(run.config.get("versions"))
    shown = {
        **_dict(run.config.get("settings")),
        **{key: model.get(key) for key in ("resolved_precision", "device", "placement")},
        "device_name": run.config.get("device_name"),
        **versions,
        "platform": run.config.get("platform"),
        "started": run.config.get("started"),
    }
    said = {
        _NAMES.get(key, key.replace("_", " ")): str(value) for key, value in shown.items() if value not in (None, "")
    }
    return [*(("damaged", text) for text in run.complaints), *said.items()]


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
