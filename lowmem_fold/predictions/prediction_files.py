"""The files of a prediction: which there are, what goes into them, and how they get into a folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..sequences.ids import check_id
from ..system.files import write_text_atomic

if TYPE_CHECKING:
    from .atoms import Writable

__all__ = ["FORMATS", "file_texts", "save_files"]

#: Names of the structure formats, and the endings of the files that each asks for.
FORMATS = {"pdb": (".pdb",), "cif": (".cif",), "both": (".pdb", ".cif")}
_SCORES = ".scores.json"


def file_texts(prediction: Writable, endings: Iterable[str], save_pae: bool) -> dict[str, str]:
    """Return the texts of a prediction's files by ending: the structure with each of these, and PAE if asked for.

    Raises
    ------
    InputError
        If the structure does not fit a format (`PDBLimitError`), or there is no PAE to write.
    LowmemFoldError
        If coordinates or pLDDT are not finite.
    """
    from .mmcif import cif_text
    from .pae import pae_json
    from .pdb import pdb_text

    texts = {ending: pdb_text(prediction) if ending == ".pdb" else cif_text(prediction) for ending in endings}
    return texts | ({".pae.json": pae_json(prediction)} if save_pae else {})


def save_files(
    prediction: Writable, scores: Mapping[str, Any], folder: Path, format: str, save_pae: bool, overwrite: bool
) -> list[Path]:
    """Write the files of a prediction, as `Prediction.save` has it."""
    if format not in FORMATS:
        raise InputError(f"unknown format {format!r}: use one of {', '.join(FORMATS)}.")
    check_id(prediction.id)
    texts = file_texts(prediction, FORMATS[format], save_pae)
    texts[_SCORES] = json.dumps(scores, indent=1, allow_nan=False) + "\n"
    _make(folder)
    paths = {folder / (prediction.id + ending): text for ending, text in texts.items()}
    if not overwrite:
        _refuse_replacing(paths, folder / (prediction.id + _SCORES), scores["sequence"])
    return [write_text_atomic(path, text) for path, text in paths.items()]


def _refuse_replacing(paths: Iterable[Path], scores: Path, sequence: str) -> None:
    """Refuse to write in place of what is there, unless its scores say that it is of the same sequence."""
    there = [path for path in paths if path.exists()]
    known = _sequence_of(scores)
    if there and known != sequence:
        whose = "an unknown sequence" if known is None else f"another sequence ({known:.20}...)"
        raise InputError(
            f"{there[0]} exists already, of {whose}. Give this one another id (fold(sequence, id=...)) or "
            "another folder, or save with overwrite=True."
        )


def _sequence_of(scores: Path) -> str | None:
    """The sequence that a file of scores names, None if it cannot be read."""
    try:
        read = json.loads(scores.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    sequence = read.get("sequence") if isinstance(read, dict) else None
    return sequence if isinstance(sequence, str) else None


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made a folder ({error.strerror}). Choose another one.") from None
