"""A finished record of a folder: what it says, which files it has, and whether they are still what was written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..predictions.pdb import PDBLimitError
from ..predictions.prediction_files import file_texts
from .options import FORMATS, RunOptions
from .table import summary_line

if TYPE_CHECKING:
    from ..predictions.prediction import Prediction
    from ..sequences.records import Record

__all__ = ["SCORES", "FileSums", "StoredResult", "file_contents", "structure_endings"]

#: Ending of the file that is written last: a record is finished where it stands.
SCORES = ".scores.json"

#: How a whole file ends, by the end of its name: for records that were written before sums were kept.
_ENDS = {".pdb": b"END", ".cif": b"#", ".pae.json": b"}]"}


def structure_endings(options: RunOptions, left_out: Collection[str] | None = None) -> tuple[str, ...]:
    """Return the endings of the structure files of a record; where ``pdb`` was left out, mmCIF takes its place."""
    endings = FORMATS[options.format]
    if isinstance(left_out, (list, tuple)) and "pdb" in left_out:
        return tuple(dict.fromkeys(".cif" if ending == ".pdb" else ending for ending in endings))
    return endings


def file_contents(prediction: Prediction, options: RunOptions) -> tuple[dict[str, bytes], str | None]:
    """Return what goes into the files of a prediction, by ending; and why it has no PDB where one was asked for: mmCIF
    then stands in for it, so that nothing of a finished fold is lost."""
    reason = None
    try:
        texts = file_texts(prediction, structure_endings(options), options.save_pae)
    except PDBLimitError as error:
        reason = f"mmCIF alone, no PDB: {error.limit}"
        texts = file_texts(prediction, structure_endings(options, ["pdb"]), options.save_pae)
    return {ending: text.encode() for ending, text in texts.items()}, reason


@dataclass(frozen=True)
class StoredResult:
    """A finished record of the folder: what its ``<id>.scores.json``, written last, says.

    Attributes
    ----------
    line : dict
        Its line of ``scores.jsonl``.
    files : dict or None
        By ending without a dot, what is stated of its files. None: it was written before files were stated.
    """

    id: str
    line: dict[str, Any]
    files: dict[str, Any] | None

    @property
    def settings_id(self) -> str:
        return str(self.line["settings_id"])

    @property
    def sequence(self) -> str:
        return str(self.line["sequence"])

    @property
    def names(self) -> set[str]:
        """Names of its files."""
        return {self.id + SCORES, *(f"{self.id}.{ending}" for ending in self.files or ())}

    def is_of(self, record: Record, settings_id: str, lower: Sequence[str]) -> bool:
        """Return whether it is what a run would make of a record, or might: lower are the precisions that the run
        would step down to, and a result in another one is not."""
        if (self.settings_id, self.sequence) != (settings_id, record.sequence):
            return False
        return self.line.get("precision") in (None, *lower)

    @classmethod
    def of(cls, id: str, scores: Mapping[str, Any]) -> StoredResult:
        """Make it from the scores of a record."""
        files = scores.get("files")
        return cls(id, summary_line(scores), files if isinstance(files, dict) else None)

    @classmethod
    def read(cls, path: Path) -> StoredResult | None:
        """Read it from the file of its scores; None if that is not there, not whole or not ours."""
        try:
            scores = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        id = path.name.removesuffix(SCORES)
        needed = {"settings_id", "sequence", "status"}
        ours = isinstance(scores, dict) and needed <= scores.keys() and scores.get("id") == id
        return cls.of(id, scores) if ours else None


class FileSums:
    """Size and SHA-256 of files, each read once while it does not change."""

    def __init__(self) -> None:
        self._verdicts: dict[tuple[Path, int, int], bool] = {}

    @staticmethod
    def stated(content: bytes) -> dict[str, Any]:
        """Return what is stated of a file in the scores of its record."""
        return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}

    def is_sound(self, path: Path, stated: object) -> bool:
        """Return whether a file is what was written.

        Parameters
        ----------
        path : Path
            Must be there.
        stated : dict or None
            None: nothing was stated. Then it is sound if it ends as its format does, and has no NUL.
        """
        status = path.stat()
        key = path, status.st_size, status.st_mtime_ns
        if key not in self._verdicts:
            self._verdicts[key] = self._judge(path, status.st_size, stated)
        return self._verdicts[key]

    def _judge(self, path: Path, size: int, stated: object) -> bool:
        if size == 0 or (isinstance(stated, dict) and stated.get("bytes") != size):
            return False
        content = path.read_bytes()
        if stated is not None:
            return stated == self.stated(content)
        end = next(end for ending, end in _ENDS.items() if path.name.endswith(ending))
        return content.rstrip().endswith(end) and b"\0" not in content
