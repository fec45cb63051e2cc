"""The output folder of a run: what is finished in it, and how a result gets there whole."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..formats import write_text_atomic
from .lock import FolderLock
from .options import RunOptions, settings_id
from .table import ScoreTable, summary_line

if TYPE_CHECKING:
    from ..prediction import Prediction
    from ..sequences import Record

__all__ = ["CONFIG", "LOG", "STEM", "TABLE", "OutputFolder", "StoredResult"]

CONFIG, TABLE, LOG = "config.json", "scores.jsonl", "lowmem_fold.log"
#: Files are made in here, beside their place, and moved there when they are whole.
PARTIAL = ".lowmem_fold.partial"
#: The stem's states of a run that is on its way, or was killed.
STEM = ".lowmem_fold.stem"
SCHEMA = 1

_SCORES = ".scores.json"
_RESULT_ENDINGS = (_SCORES, ".pdb", ".cif", ".pae.json")


@dataclass(frozen=True)
class StoredResult:
    """A finished record of the folder: what its ``<id>.scores.json``, written last, says.

    Attributes
    ----------
    line : dict
        Its line of ``scores.jsonl``.
    """

    id: str
    line: dict[str, Any]

    @property
    def settings_id(self) -> str:
        return str(self.line["settings_id"])

    @property
    def sequence(self) -> str:
        return str(self.line["sequence"])


class OutputFolder:
    """The folder that a run writes into.

    ``<id>.scores.json`` is written after the other files of a record: a record is finished where it stands, its
    settings and sequence are the run's, and the files that the run asks for are there.

    Parameters
    ----------
    path : str or Path
        Need not exist.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._table: ScoreTable | None = None
        self._settings: Mapping[str, Any] = {}
        self._results: dict[str, StoredResult] | None = None

    def read_config(self) -> dict[str, Any] | None:
        """What ``config.json`` says, None if there is none; InputError if it is not a run's."""
        path = self.path / CONFIG
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: cannot be read ({error}). Give another folder with -o.") from None
        if not isinstance(config, dict) or not isinstance(config.get("settings"), dict):
            raise InputError(f"{path}: is not from lowmem-fold and would be overwritten. Give another folder with -o.")
        if config.get("schema") != SCHEMA:
            raise InputError(
                f"{path}: written by another version of lowmem-fold (schema {config.get('schema')}, this one writes "
                f"{SCHEMA}). Give another folder with -o."
            )
        return config

    def read_results(self) -> dict[str, StoredResult]:
        """The finished records of the folder by id, those of other settings and other formats included.

        Read once before and once after the folder is opened: there may be many thousands.
        """
        if self._results is None:
            found = (_read_result(path) for path in sorted(self.path.glob("*" + _SCORES)))
            self._results = {result.id: result for result in found if result}
        return self._results

    def unfinished(self, records: Sequence[Record], options: RunOptions, settings: Mapping[str, Any]) -> list[Record]:
        """The records that the run has to fold, in their order."""
        if options.overwrite or not self.path.is_dir():
            return list(records)
        results, wanted = self.read_results(), settings_id(settings)
        return [
            record
            for record in records
            if not (
                self._is_same(results.get(record.id), record, wanted, options.allow_precision)
                and self._has_files(record.id, options)
            )
        ]

    @contextlib.contextmanager
    def opened(self) -> Iterator[OutputFolder]:
        """Make the folder if need be, lock it, and clear away what a killed run left half made."""
        self.path.mkdir(parents=True, exist_ok=True)
        with FolderLock(self.path):
            self._clear_partial()
            self._results = None
            try:
                yield self
            finally:
                self._clear_partial()

    def begin(self, config: Mapping[str, Any]) -> None:
        """Write ``config.json`` and repair ``scores.jsonl``; results may follow."""
        self._settings = config["settings"]
        self._replace(self.path / CONFIG, json.dumps({"schema": SCHEMA, **config}, indent=1) + "\n")
        self.repair_table()

    def repair_table(self) -> None:
        """Make ``scores.jsonl`` agree with the finished records."""
        self._table = ScoreTable(self.path / TABLE, self._replace)
        self._table.repair({id: result.line for id, result in self.read_results().items()})

    def save(self, prediction: Prediction, notes: Mapping[str, Any], options: RunOptions) -> dict[str, Any]:
        """Write the files of a prediction, and its line.

        Parameters
        ----------
        prediction : Prediction
        notes : Mapping
            What the run adds to the scores.
        options : RunOptions

        Returns
        -------
        dict
            The line of the record in ``scores.jsonl``.
        """
        partial = self.path / PARTIAL
        made = prediction.save(partial, format=options.format, save_pae=options.save_pae, overwrite=True)
        scores = {**prediction.scores(), **notes, "settings_id": settings_id(self._settings)}
        mark = write_text_atomic(
            partial / (prediction.id + _SCORES), json.dumps(scores, indent=1, allow_nan=False) + "\n"
        )
        self._invalidate(prediction.id, prediction.sequence)
        for path in made:
            if path.name != mark.name:
                os.replace(path, self.path / path.name)
        os.replace(mark, self.path / mark.name)
        line = summary_line(scores)
        self._put(line)
        return line

    def save_failure(self, record: Record, notes: Mapping[str, Any]) -> dict[str, Any]:
        """Write the line of a record that could not be folded; returns it."""
        line = {
            "id": record.id,
            "length": record.length,
            "chain_lengths": [len(chain) for chain in record.chains],
            "sequence": record.sequence,
            **notes,
            "settings_id": settings_id(self._settings),
        }
        self._remove_stale(record.id, record.sequence)
        self._put(line)
        return line

    def _put(self, line: Mapping[str, Any]) -> None:
        assert self._table is not None, "begin() comes first"
        self._table.put(line)

    def _invalidate(self, id: str, sequence: str) -> None:
        """Take the mark of completion from a result that is about to be replaced."""
        self._remove_stale(id, sequence)
        (self.path / (id + _SCORES)).unlink(missing_ok=True)

    def _remove_stale(self, id: str, sequence: str) -> None:
        """Remove a result of other settings or another sequence: no file of it may stand beside a new one."""
        result = _read_result(self.path / (id + _SCORES))
        if result and (result.settings_id, result.sequence) != (settings_id(self._settings), sequence):
            for ending in _RESULT_ENDINGS:  # the mark of completion first
                (self.path / (id + ending)).unlink(missing_ok=True)

    def _replace(self, path: Path, text: str) -> None:
        partial = self.path / PARTIAL
        partial.mkdir(exist_ok=True)
        os.replace(write_text_atomic(partial / path.name, text), path)

    def _clear_partial(self) -> None:
        shutil.rmtree(self.path / PARTIAL, ignore_errors=True)

    def _has_files(self, id: str, options: RunOptions) -> bool:
        paths = [self.path / (id + ending) for ending in options.endings]
        return all(path.is_file() and path.stat().st_size > 0 for path in paths)

    @staticmethod
    def _is_same(result: StoredResult | None, record: Record, wanted: str, lower: Sequence[str]) -> bool:
        """lower: precisions that the run would step down to; a result in another one is not what it would make."""
        if result is None or (result.settings_id, result.sequence) != (wanted, record.sequence):
            return False
        return result.line.get("precision") in (None, *lower)


def _read_result(path: Path) -> StoredResult | None:
    """A finished record, None if the file is not there, not whole or not ours."""
    try:
        scores = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    id = path.name.removesuffix(_SCORES)
    ours = (
        isinstance(scores, dict) and {"settings_id", "sequence", "status"} <= scores.keys() and scores.get("id") == id
    )
    return StoredResult(id, summary_line(scores)) if ours else None
