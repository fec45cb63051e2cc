"""A run as it lies in its folder: the records, their scores and the files of each."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..run.output import CONFIG, TABLE
from ..run.table import FAILED, OK, SUSPECT, read_lines

__all__ = ["MISSING", "Run", "RunRecord", "number", "read_run"]

#: Status of a record whose files are no longer in the folder.
MISSING = "missing"
_SCORES = ".scores.json"


@dataclass(eq=False)
class RunRecord:
    """One record of a run.

    Attributes
    ----------
    id : str
    folder : Path
    line : dict
        Its line of ``scores.jsonl``, with the longer entries of ``<id>.scores.json`` where that is there.
    complaints : list of str
        What could not be read of its files, found while they are read.
    """

    id: str
    folder: Path
    line: dict[str, Any]
    complaints: list[str] = field(default_factory=list)

    @property
    def status(self) -> str:
        """``ok``, ``incomplete``, ``suspect``, ``failed`` or ``missing``."""
        status = str(self.line.get("status", SUSPECT if self.line.get("problems") else OK))
        return MISSING if status != FAILED and self.structure_path is None else status

    @cached_property
    def structure_path(self) -> Path | None:
        """Its structure file, None if there is none."""
        paths = [self.folder / f"{self.id}{ending}" for ending in (".pdb", ".cif")]
        return next((path for path in paths if path.is_file()), None)

    @property
    def chains(self) -> tuple[str, ...]:
        """Sequences of the chains."""
        return tuple(str(self.line.get("sequence", "")).split(":"))

    @property
    def length(self) -> int:
        return sum(map(len, self.chains))

    @cached_property
    def plddt(self) -> list[float | None] | None:
        """pLDDT of each residue, 0 to 100; None if its scores have none that fit the sequence."""
        values = self.line.get("plddt")
        if not isinstance(values, list) or len(values) != self.length:
            if values is not None:
                count = len(values) if isinstance(values, list) else "not a list of"
                said = f"{self.id}{_SCORES} holds {count} pLDDT, the record has {self.length} residues"
                self.complaints.append(said)
            return None
        return [number(value) for value in values]

    def read_pae(self) -> np.ndarray | None:
        """Shape (L, L), Angstrom, NaN where none is stated; None if none was saved, or what was saved is unusable.

        Not kept: those of hundreds of records are more than memory holds.
        """
        path = self.folder / f"{self.id}.pae.json"
        if not path.is_file():
            return None
        try:
            entry = json.loads(path.read_text(encoding="utf-8"))
            entry = entry[0] if isinstance(entry, list) else entry
            errors = np.array(entry["predicted_aligned_error"], dtype=np.float64)
        except (OSError, ValueError, TypeError, KeyError, IndexError) as error:
            self.complaints.append(f"{path.name} cannot be read: {error}")
            return None
        if errors.shape != (self.length, self.length):
            shape = " x ".join(map(str, errors.shape))
            self.complaints.append(f"{path.name} holds {shape} errors, the record has {self.length} residues")
            return None
        return errors


@dataclass(frozen=True, eq=False)
class Run:
    """A folder of results.

    Attributes
    ----------
    folder : Path
    config : dict
        What ``config.json`` says; empty without one.
    records : list of RunRecord
        In the order of ``scores.jsonl``; what is not in it follows by name.
    complaints : list of str
        What could not be read, but for what the records tell of.
    """

    folder: Path
    config: dict[str, Any]
    records: list[RunRecord]
    complaints: list[str]


def read_run(folder: str | Path) -> Run:
    """Read what ``lowmem-fold fold`` or ``Prediction.save`` wrote, finished or not.

    Parameters
    ----------
    folder : str or Path

    Raises
    ------
    InputError
        There is no such folder, or no record in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        what = "is a file, not the folder of a run" if folder.exists() else "no such folder"
        raise InputError(f"{folder}: {what}. Give the folder that lowmem-fold fold wrote into (its -o).")
    lines = {id: line for id, line in read_lines(folder / TABLE).items() if _is_name(id)}
    found, amiss = _scores(folder)
    records = [
        RunRecord(id, folder, {**lines.get(id, {}), **found.get(id, {})}, [amiss[id]] if id in amiss else [])
        for id in lines | found
    ]
    if not records:
        raise InputError(
            f"{folder}: not the folder of a run (it holds neither {TABLE} nor <id>{_SCORES} files). "
            "Give the folder that lowmem-fold fold wrote into (its -o)."
        )
    config, complaint = _object(folder / CONFIG)
    complaints = [text for id, text in amiss.items() if id not in lines] + ([complaint] if complaint else [])
    return Run(folder, config, records, complaints)


def number(value: Any) -> float | int | None:
    """A finite number as it is, anything else as None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return value


def _is_name(id: str) -> bool:
    """Whether an id names files of the folder, not of another place."""
    return id not in ("", "..") and Path(id).name == id and "\\" not in id and "\0" not in id


def _scores(folder: Path) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """By id: what each ``<id>.scores.json`` holds, and what is wrong with the others."""
    found, amiss = {}, {}
    for path in sorted(folder.glob("*" + _SCORES)):
        id = path.name.removesuffix(_SCORES)
        scores, complaint = _object(path)
        if complaint is None and scores.get("id") != id:
            complaint = f"{path.name} is not of {id}: its id is {scores.get('id')!r}"
        if complaint is None:
            found[id] = scores
        else:
            amiss[id] = complaint
    return found, amiss


def _object(path: Path) -> tuple[dict[str, Any], str | None]:
    """The object of a JSON file, and what is wrong with it; empty and None if there is no such file."""
    if not path.exists():
        return {}, None
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return {}, f"{path.name} cannot be read: {error}"
    return (value, None) if isinstance(value, dict) else ({}, f"{path.name} is not a JSON object")
