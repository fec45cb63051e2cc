"""A table of scores on disk: written whole, and gone on with after an interruption."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..system.files import check_output_file, own_folder, write_text_atomic
from ..system.lock import FolderLock
from ..system.log import logging_to
from ..system.versions import package_version
from .answers import AnswerFile, differences
from .batches import reason
from .embed_run import log_file
from .likelihood import LikelihoodTask
from .score import run_tasks
from .stores.store import partial_folder
from .variants import VariantsTask

if TYPE_CHECKING:
    from .backbone import Backbone

__all__ = ["TableSummary", "check_table", "is_finished", "table_settings", "write_table"]

AnyTask = LikelihoodTask | VariantsTask
Settings = Mapping[str, Any]


def check_table(path: Path, overwrite: bool) -> None:
    """InputError if a table cannot be written there, or one that is there is not as it was written. Loads nothing."""
    check_output_file(path, overwrite=True)
    if path.exists() and not overwrite and _stored_settings(path).get("table") != _digest(path.read_bytes()):
        raise InputError(
            f"{path} exists already, and is not as lowmem-fold score wrote it: give another name with -o, or add "
            "--overwrite"
        )


def table_settings(backbone: Backbone, tasks: Sequence[tuple[str, AnyTask]], long: str) -> dict[str, Any]:
    """What decides the numbers of a table."""
    text = json.dumps([(id, task.sequence, getattr(task, "names", None)) for id, task in tasks])
    described = backbone.describe()
    return {
        "model": backbone.checkpoint.short_name,
        "fingerprint": described["fingerprint"],
        "precision": described["precision"],
        "long": long,
        "lowmem_fold": package_version(),
        "input": _digest(text.encode()),
    }


def is_finished(path: Path, settings: Settings, overwrite: bool) -> bool:
    """Whether the table is there, and no sequence failed. InputError if it is there with other settings, and is not to
    be overwritten."""
    if overwrite or not path.exists():
        return False
    stored = _stored_settings(path)
    judged, wanted = ({name: each.get(name) for name in settings if name != "model"} for each in (stored, settings))
    if judged != wanted:
        raise InputError(
            f"{path} exists already, with other settings: {differences(judged, wanted)}. Give another name with -o, "
            "or add --overwrite"
        )
    return not stored.get("failed")


@dataclass
class TableSummary:
    """What became of a table.

    Attributes
    ----------
    written : int
        Sequences that are in it.
    failed : dict of str to str
        Why others are not, by id.
    known : int
        Queries that an earlier run had answered.
    others : int
        Answers that an interrupted run has left beside the table, and that were not asked for: they stay.
    placement : str, optional
        Where the weights were at the end, if that changed as memory was short.
    """

    written: int
    failed: dict[str, str]
    known: int
    others: int
    placement: str | None


def write_table(
    backbone: Backbone,
    tasks: Sequence[tuple[str, AnyTask]],
    path: Path,
    settings: Settings,
    overwrite: bool,
    progress: Callable[[int], object] | None = None,
) -> TableSummary:
    """Score, and write ``path`` (CSV, a header line, rows in the order of the tasks) and ``<path>.settings.json``.

    While it runs, what is found is kept in the folder ``.<name>.partial`` beside the table, where the next run takes it
    from. So it is after a run in which a sequence failed; the table has the others then, and is not there if all did.

    Parameters
    ----------
    backbone : Backbone
    tasks : sequence of (str, LikelihoodTask or VariantsTask)
        With the id that the rows begin with; all of one kind.
    path : Path
    settings : mapping
        As `table_settings` makes it.
    overwrite : bool
        Whether what an interrupted run with other settings has left may be thrown away.
    progress : callable, optional
        Called with a number of queries that are answered, as they are.

    Raises
    ------
    InputError
        An interrupted run had other settings, or another one is writing this table now.
    """
    folder = partial_folder(path)
    own_folder(folder)
    judged = {name: value for name, value in settings.items() if name not in ("model", "input")}
    before = backbone.placement
    with FolderLock(folder), AnswerFile(folder / "answers", judged, overwrite) as answers:
        with logging_to(log_file(path)):
            rows, failures = _scored(backbone, tasks, answers, progress)
        failed = {id: failures[task] for id, task in tasks if task in failures}
        if rows:
            _write(path, tasks, rows, {**settings, **_environment(backbone), "failed": list(failed)})
        if not failed:
            log_file(path).unlink()
            answers.finish()
    with suppress(OSError):  # answers or a log may be left there
        folder.rmdir()
    placement = None if backbone.placement == before else backbone.placement
    return TableSummary(len(tasks) - len(failed), failed, answers.used, answers.others, placement)


def _scored(
    backbone: Backbone,
    tasks: Sequence[tuple[str, AnyTask]],
    answers: AnswerFile,
    progress: Callable[[int], object] | None,
) -> tuple[dict[AnyTask, list[tuple[str, ...]]], dict[AnyTask, str]]:
    """Lines of the table by task, and why other tasks failed."""
    rows: dict[AnyTask, list[tuple[str, ...]]] = {}
    failures: dict[AnyTask, str] = {}
    run_tasks(
        backbone,
        [task for _, task in tasks],
        lambda task, found: rows.update({task: task.rows(found)}),
        answers,
        progress,
        lambda task, error: failures.update({task: reason(error, str(backbone.device))}),
    )
    return rows, failures


def _write(path: Path, tasks: Sequence[tuple[str, AnyTask]], rows: Mapping[AnyTask, Any], settings: Settings) -> None:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("id", *tasks[0][1].columns))
    writer.writerows((id, *row) for id, task in tasks for row in rows.get(task, ()))
    data = table.getvalue()
    # First the settings, with the digest by which a table is known that they belong to: a kill leaves no doubt.
    write_text_atomic(_settings_path(path), json.dumps({**settings, "table": _digest(data.encode())}, indent=2) + "\n")
    write_text_atomic(path, data)


def _environment(backbone: Backbone) -> dict[str, Any]:
    """What is recorded besides, and changes numbers by rounding only."""
    described = backbone.describe()
    return {name: described[name] for name in ("family", "resolved_precision", "device", "placement", "attention")}


def _settings_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.settings.json")


def _stored_settings(path: Path) -> dict[str, Any]:
    try:
        stored = json.loads(_settings_path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
