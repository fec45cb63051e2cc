"""The output folder of a run: what is finished in it, and how a result gets there whole."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, OutputLostError
from ..system.files import refuse_link, write_bytes_atomic, write_text_atomic
from ..system.lock import LOCK, FolderLock
from ..system.settings import settings_id
from .csv_table import csv_text, is_ours
from .options import RunOptions
from .result_files import SCORES, FileSums, StoredResult, file_contents, structure_endings
from .run_config import CONFIG, config_text
from .table import INCOMPLETE, OK, ScoreTable, read_lines

if TYPE_CHECKING:
    from ..predictions.prediction import Prediction
    from ..sequences.records import Record

__all__ = ["CONFIG", "CSV", "LOG", "STEM", "TABLE", "OutputFolder"]

TABLE, CSV, LOG = "scores.jsonl", "scores.csv", "lowmem_fold.log"
#: Files are made in here, beside their place, and moved there when they are whole.
PARTIAL = ".lowmem_fold.partial"
#: The stem's states of a run that is on its way, or was killed.
STEM = ".lowmem_fold.stem"
#: ``scores.csv`` is written whole each time, so not after each of many thousand records.
_CSV_SECONDS = 60.0

_RESULT_ENDINGS = (SCORES, ".pdb", ".cif", ".pae.json")


class OutputFolder:
    """The folder that a run writes into.

    ``<id>.scores.json`` is written after the other files of a record: a record is finished where it stands, its
    settings and sequence are the run's, and the files that the run asks for are there, as they were written.

    Parameters
    ----------
    path : str or Path
        Need not exist.

    Attributes
    ----------
    damaged : list of str
        Ids of records that `unfinished` found again because a file of theirs is not what was written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.damaged: list[str] = []
        self._lock = FolderLock(self.path)
        self._sums = FileSums()
        self._table: ScoreTable | None = None
        self._csv_written = -_CSV_SECONDS  # by time.monotonic
        self._settings: Mapping[str, Any] = {}
        self._results: dict[str, StoredResult] | None = None

    def refuse_links(self) -> None:
        """Raise InputError if a file or folder of the run is a link: what it points to would be changed."""
        for name in (CONFIG, TABLE, CSV, LOG, LOCK):
            refuse_link(self.path / name)
        for name in (PARTIAL, STEM):
            refuse_link(self.path / name, folder=True)

    def read_results(self) -> dict[str, StoredResult]:
        """The finished records of the folder by id, those of other settings and other formats included.

        Read once before and once after the folder is opened: there may be many thousands.
        """
        if self._results is None:
            found = (StoredResult.read(path) for path in sorted(self.path.glob("*" + SCORES)))
            self._results = {result.id: result for result in found if result}
        return self._results

    def is_of_a_run(self) -> bool:
        """Whether results or failures of a run are there, whatever became of ``config.json``."""
        return bool(self.read_results()) or any(
            "settings_id" in line for line in read_lines(self.path / TABLE).values()
        )

    def unfinished(self, records: Sequence[Record], options: RunOptions, settings: Mapping[str, Any]) -> list[Record]:
        """Return the records that the run has to fold, in their order; fills ``damaged``."""
        self.damaged = []
        if options.overwrite or not self.path.is_dir():
            return list(records)
        results, wanted = self.read_results(), settings_id(settings)
        return [record for record in records if not self._is_finished(record, results.get(record.id), options, wanted)]

    @contextlib.contextmanager
    def opened(self) -> Iterator[OutputFolder]:
        """Make the folder if need be, lock it, and clear away what a killed run left half made.

        Raises
        ------
        OutputLostError
            If the folder is not the same any more when the block ends without an error.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with self._lock:
            self._clear_partial()
            (self.path / PARTIAL).mkdir()  # no folder is made after this: one that is removed does not come back
            self._results = None
            try:
                yield self
                self._lock.check_held()
            finally:
                if self._lock.is_held():
                    with contextlib.suppress(OSError, OutputLostError):  # the error of the run is the one to report
                        self._write_csv()
                    self._clear_partial()

    def begin(self, config: Mapping[str, Any], order: Sequence[str] = ()) -> None:
        """Write ``config.json`` and repair ``scores.jsonl``; results may follow. order: ids of the input."""
        self._settings = config["settings"]
        with self._writing():
            self._replace(self.path / CONFIG, config_text(config))
        self.repair_table(order)

    def repair_table(self, order: Sequence[str] = ()) -> None:
        """Make ``scores.jsonl`` agree with the finished records, those of the input first and in its order."""
        with self._writing():
            self._table = ScoreTable(self.path / TABLE, self._replace)
            finished = {id: result.line for id, result in self.read_results().items() if id not in self.damaged}
            self._table.repair(finished, order)
            self._write_csv()

    def arrange_table(self, order: Sequence[str]) -> None:
        """Put the lines of ``scores.jsonl`` in the order of the input."""
        assert self._table is not None, "begin() comes first"
        with self._writing():
            self._table.arrange(order)
            self._write_csv()

    def check_all_there(self, ids: Iterable[str]) -> None:
        """Raise OutputLostError if files of finished records were removed while the run lasted."""
        names, results = set(os.listdir(self.path)), self.read_results()
        lost = [id for id in ids if not results[id].names <= names]
        if lost:
            listed = ", ".join(lost[:3]) + (f" and {len(lost) - 3} more" if len(lost) > 3 else "")
            raise OutputLostError(
                f"{self.path}: files of {listed} were removed while this run wrote into the folder. Run the same "
                "command again to fold them anew (with --adopt if config.json was removed too)."
            )

    def absent(self, records: Sequence[Record]) -> list[str]:
        """Return the ids of which the folder has something, and the input has no record."""
        marks = (path.name.removesuffix(SCORES) for path in self.path.glob("*" + SCORES))
        there = dict.fromkeys([*(self._table.ids if self._table else ()), *sorted(marks)])
        ids = {record.id for record in records}
        return [id for id in there if id not in ids]

    def other_files(self, records: Sequence[Record]) -> list[str]:
        """Return the names of files of finished records that come from an earlier fold, in a format that the last fold
        was not asked for."""
        names, results = set(os.listdir(self.path)), self.read_results()
        found = [results[record.id] for record in records if record.id in results]
        return [
            result.id + ending
            for result in found
            for ending in _RESULT_ENDINGS[1:]
            if result.files is not None and ending[1:] not in result.files and result.id + ending in names
        ]

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

        Raises
        ------
        LowmemFoldError
            If coordinates or pLDDT are not finite.
        OutputLostError
            If the folder is not there any more.
        OSError
            If it cannot be written.
        """
        id = prediction.id
        data, reason = file_contents(prediction, options)
        scores = {
            **prediction.scores(),
            **notes,
            **(_incomplete(notes, reason) if reason else {}),
            "files": {ending[1:]: FileSums.stated(content) for ending, content in data.items()},
            "settings_id": settings_id(self._settings),
        }
        data[SCORES] = (json.dumps(scores, indent=1, allow_nan=False) + "\n").encode()
        with self._writing():
            for ending, content in data.items():
                write_bytes_atomic(self.path / PARTIAL / (id + ending), content)
            self._invalidate(id, prediction.sequence, options.overwrite, data)
            for ending in data:  # the mark of completion last
                os.replace(self.path / PARTIAL / (id + ending), self.path / (id + ending))
            result = StoredResult.of(id, scores)
            self.read_results()[id] = result
            self._put(result.line)
        return result.line

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
        with self._writing():
            self._remove_stale(record.id, record.sequence)
            if record.id in self.damaged:  # its line would else come back from what is left of it
                self._remove(record.id, (SCORES,))
            self._put(line)
        return line

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Write into the folder that was locked and into no other: where it is gone, OutputLostError says so."""
        self._lock.check_held()
        try:
            yield
        except InputError as error:  # a link in the place of a file of ours, since the run began
            raise OutputLostError(str(error)) from None
        except OSError:
            self._lock.check_held()
            raise

    def _put(self, line: Mapping[str, Any]) -> None:
        assert self._table is not None, "begin() comes first"
        self._table.put(line)
        if time.monotonic() - self._csv_written >= _CSV_SECONDS:
            self._write_csv()

    def _write_csv(self) -> None:
        """Make ``scores.csv`` agree with the lines of the table."""
        if self._table is None:
            return
        path, text = self.path / CSV, csv_text(self._table.lines)
        refuse_link(path)
        if not (path.exists() and path.read_bytes() == text.encode()):
            self._replace(path, text)
        self._csv_written = time.monotonic()

    def has_foreign_csv(self) -> bool:
        """Whether a ``scores.csv`` is there that no run wrote."""
        path = self.path / CSV
        return path.exists() and not is_ours(path.read_bytes())

    def _invalidate(self, id: str, sequence: str, overwrite: bool, new: Collection[str]) -> None:
        """Take the mark of completion from a result that is about to be replaced; overwrite: and what it has in other
        formats than the ``new`` endings."""
        ours = StoredResult.read(self.path / (id + SCORES)) is not None
        self._remove_stale(id, sequence)
        self._remove(id, (SCORES,))
        if ours and overwrite:
            self._remove(id, [ending for ending in _RESULT_ENDINGS if ending not in new])

    def _remove_stale(self, id: str, sequence: str) -> None:
        """Remove a result of other settings or another sequence: no file of it may stand beside a new one."""
        result = StoredResult.read(self.path / (id + SCORES))
        if result and (result.settings_id, result.sequence) != (settings_id(self._settings), sequence):
            self._remove(id, _RESULT_ENDINGS)  # the mark of completion first

    def _remove(self, id: str, endings: Iterable[str]) -> None:
        for ending in endings:
            (self.path / (id + ending)).unlink(missing_ok=True)
            if ending == SCORES:
                self.read_results().pop(id, None)

    def _replace(self, path: Path, text: str) -> None:
        os.replace(write_text_atomic(self.path / PARTIAL / path.name, text), path)

    def _clear_partial(self) -> None:
        shutil.rmtree(self.path / PARTIAL, ignore_errors=True)

    def _is_finished(self, record: Record, result: StoredResult | None, options: RunOptions, wanted: str) -> bool:
        if result is None:
            if os.path.lexists(self.path / (record.id + SCORES)):
                self.damaged.append(record.id)
            return False
        return result.is_of(record, wanted, options.allow_precision) and self._has_files(result, options)

    def _has_files(self, result: StoredResult, options: RunOptions) -> bool:
        """Whether all files that the run asks for are there as they were written."""
        endings = structure_endings(options, result.line.get("left_out")) + options.pae_endings
        if result.files is not None and not {ending[1:] for ending in endings} <= result.files.keys():
            return False  # what stands there is from an earlier fold
        paths = {ending[1:]: self.path / (result.id + ending) for ending in endings}
        if not all(path.is_file() for path in paths.values()):
            return False
        if all(self._sums.is_sound(path, (result.files or {}).get(ending)) for ending, path in paths.items()):
            return True
        self.damaged.append(result.id)
        return False


def _incomplete(notes: Mapping[str, Any], reason: str) -> dict[str, Any]:
    """What the notes of a record say anew that has no PDB where one was asked for."""
    status = notes.get("status", OK)
    return {
        "status": INCOMPLETE if status == OK else status,
        "reason": "; ".join(filter(None, [notes.get("reason"), reason])),
        "left_out": ["pdb"],
    }
