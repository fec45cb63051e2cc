"""The run over many records: what is finished is skipped, what fails is noted, what comes out is written at once."""

from __future__ import annotations

import gc
import logging
import platform
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from .errors import LowmemFoldError, ModelError
from .log import logging_to
from .memory.exhaustion import is_out_of_memory
from .memory.meters import peak_meter
from .run.batches import plan_batches
from .run.checks import check_output, check_unlocked
from .run.options import RunOptions, differing_settings, known_settings, result_settings
from .run.output import LOG, OutputFolder
from .run.progress import SilentProgress
from .run.stopping import StopSignals
from .run.table import FAILED, OK, SUSPECT
from .versions import environment_versions

if TYPE_CHECKING:
    from .prediction import Prediction
    from .sequences import Record

__all__ = ["RunSummary", "fold_records"]

_log = logging.getLogger(__name__)


class Folds(Protocol):
    """What a run needs of a loaded model: ``lowmem_fold.Folder`` has it."""

    def fold(
        self, sequence: Record, *, num_recycles: int, chunk_size: int | None, recycle_tolerance: float | None
    ) -> Prediction: ...

    def fold_batch(
        self,
        sequences: Sequence[Record],
        *,
        num_recycles: int,
        chunk_size: int | None,
        recycle_tolerance: float | None,
    ) -> list[Prediction]: ...

    def describe(self) -> dict[str, Any]: ...


@dataclass
class RunSummary:
    """Ids of the records of a run, by what became of them.

    Attributes
    ----------
    folded : list of str
        Written in this run, those of ``suspect`` included.
    suspect : list of str
        Written, with a reason for which the result cannot be true.
    failed : list of str
        Not folded; the reason is in ``scores.jsonl``, the traceback in the log.
    skipped : list of str
        Finished before.
    """

    folded: list[str] = field(default_factory=list)
    suspect: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def fold_records(
    records: Sequence[Record],
    out: str | Path,
    options: RunOptions | None = None,
    *,
    load: Callable[..., Folds] | None = None,
    progress: SilentProgress | None = None,
    stops: StopSignals | None = None,
) -> RunSummary:
    """Fold records into a folder, going on from what is finished there.

    Each record has its files written when it is folded, ``<id>.scores.json`` last, and then its line in
    ``scores.jsonl``; so a kill costs the record in flight at most.

    Parameters
    ----------
    records : sequence of Record
        With ids that differ, as ``read_fasta`` makes sure.
    out : str or Path
        Made if it is not there.
    options : RunOptions, optional
    load : callable, optional
        ``load(model, precision=..., device=...)`` as ``lowmem_fold.load``, which is the default. Called when all else
        is checked, and not at all when every record is finished.
    progress : SilentProgress, optional
        Nothing is shown without it.
    stops : StopSignals, optional
        Entered by the caller; lets Ctrl-C wait while a result is being written.

    Returns
    -------
    RunSummary

    Raises
    ------
    InputError
        If the folder holds results of other settings or another sequence, cannot be written, or is in use.
    ModelError
        If the model cannot be loaded.
    OSError
        If a result cannot be written, as on a full disk. What was written stays sound.
    """
    options = options or RunOptions()
    output = OutputFolder(out)
    check_output(output, records, options, known_settings(options))
    check_unlocked(output)
    if _all_finished(output, records, options):
        with output.opened():
            output.repair_table()
        return RunSummary(skipped=[record.id for record in records])
    progress = progress or SilentProgress()
    progress.loading(options.model)
    folder = _load(load, options)
    model = folder.describe()
    settings = result_settings(options, model)
    check_output(output, records, options, settings)
    with output.opened(), logging_to(output.path / LOG):
        check_output(output, records, options, settings)  # another run may have ended here since
        run = _Run(folder, str(model.get("device", "cpu")), output, options, progress, stops or StopSignals())
        return run.fold(records, _config(settings, options, model))


class _Run:
    """A run that holds its folder and its model."""

    def __init__(
        self,
        folder: Folds,
        device: str,
        output: OutputFolder,
        options: RunOptions,
        progress: SilentProgress,
        stops: StopSignals,
    ) -> None:
        self._folder = folder
        self._output = output
        self._options = options
        self._progress = progress
        self._stops = stops
        self._device = device
        self._summary = RunSummary()

    def fold(self, records: Sequence[Record], config: Mapping[str, Any]) -> RunSummary:
        settings = config["settings"]
        todo = self._output.unfinished(records, self._options, settings)
        self._summary.skipped = sorted({record.id for record in records} - {record.id for record in todo})
        with self._stops.held():
            self._output.begin(config)
        _log.info("start: %d records, %d to fold, settings %s", len(records), len(todo), dict(settings))
        self._progress.start(todo, self._options.num_recycles + 1)
        try:
            for batch in plan_batches(todo, self._options.max_tokens_per_batch):
                self._fold_batch(batch)
        except KeyboardInterrupt as stop:
            _log.info("stopped by %s with %d of %d folded", stop or "Ctrl-C", len(self._summary.folded), len(todo))
            raise
        except OSError as error:
            _log.error("stopped: %s", error)
            raise
        finally:
            self._progress.close()
        _log.info("end: %d folded, %d failed", len(self._summary.folded), len(self._summary.failed))
        return self._summary

    def _fold_batch(self, batch: Sequence[Record]) -> None:
        self._progress.working_on(batch)
        predictions, notes = self._attempt(batch)
        self._stops.check()
        if predictions is not None:
            with self._stops.held():  # a stop waits for the whole batch: all of it is computed
                for record, prediction in zip(batch, predictions, strict=True):
                    self._save(record, prediction, notes)
        elif len(batch) > 1:
            _log.warning("the batch of %d is folded one by one", len(batch))
            for record in batch:
                self._fold_batch([record])
        else:
            self._save_failure(batch[0], notes)

    def _attempt(self, batch: Sequence[Record]) -> tuple[list[Prediction] | None, dict[str, Any]]:
        """Predictions, or None; and what is noted of the attempt. The error is let go of: it holds the tensors."""
        failure: dict[str, Any] = {}
        predictions = None
        meter = peak_meter(self._device)
        start = time.perf_counter()
        with meter:
            try:
                predictions = self._predict(batch)
            except Exception as error:
                _log.error("%s failed\n%s", ", ".join(record.id for record in batch), traceback.format_exc().rstrip())
                failure = {"reason": _reason(error), "error_type": type(error).__name__}
        if failure:
            _release_memory()
        notes = {
            "seconds": round((time.perf_counter() - start) / len(batch), 3),
            "batch_records": len(batch),
            "peak_bytes": meter.peak_bytes,
            "peak_meter": meter.name,
            "device": self._device,
        }
        return predictions, {**failure, **notes}

    def _predict(self, batch: Sequence[Record]) -> list[Prediction]:
        keywords = {**self._options.fold_keywords, "progress": self._progress.advanced}
        if len(batch) == 1:
            return [self._folder.fold(batch[0], **keywords)]
        predictions = self._folder.fold_batch(batch, **keywords)
        if len(predictions) != len(batch):
            raise RuntimeError(f"{len(batch)} records were folded together, and {len(predictions)} results came back")
        return predictions

    def _save(self, record: Record, prediction: Prediction, notes: Mapping[str, Any]) -> None:
        problems = prediction.problems()
        status = {"status": SUSPECT if problems else OK, "reason": "; ".join(problems) or None}
        try:
            with self._stops.held():
                line = self._output.save(prediction, {**_about(record), **status, **notes}, self._options)
        except LowmemFoldError as error:  # the structure does not fit the format
            self._save_failure(record, {**notes, "reason": str(error), "error_type": type(error).__name__})
            return
        self._summary.folded.append(record.id)
        if problems:
            self._summary.suspect.append(record.id)
        self._tell(record, line)

    def _save_failure(self, record: Record, notes: Mapping[str, Any]) -> None:
        with self._stops.held():
            line = self._output.save_failure(record, {**_about(record), "status": FAILED, **notes})
        self._summary.failed.append(record.id)
        self._tell(record, line)

    def _tell(self, record: Record, line: Mapping[str, Any]) -> None:
        _log.info("%s: %s, %d residues, %.1f s", record.id, line["status"], record.length, line["seconds"])
        self._progress.finished(record, line)


def _all_finished(output: OutputFolder, records: Sequence[Record], options: RunOptions) -> bool:
    """Whether nothing is left to fold, as far as that can be known without the model."""
    config = output.read_config() if output.path.is_dir() else None
    if config is None or options.overwrite:
        return False
    stored, known = config["settings"], known_settings(options)
    if stored.get("model") != options.model or differing_settings(stored, known):
        return False
    return not output.unfinished(records, options, stored)


def _load(load: Callable[..., Folds] | None, options: RunOptions) -> Folds:
    try:
        return (load or _default_load())(options.model, precision=options.precision, device=options.device)
    except LowmemFoldError:
        raise
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        text = (
            f"{options.model}: its weights do not fit into the memory of --device {options.device} ({_reason(error)})."
        )
        raise ModelError(text) from None


def _default_load() -> Callable[..., Folds]:
    import lowmem_fold

    return lowmem_fold.load


def _config(settings: Mapping[str, Any], options: RunOptions, model: Mapping[str, Any]) -> dict[str, Any]:
    """What ``config.json`` says: by ``settings`` alone it is judged whether a later run may go on."""
    return {
        "settings": dict(settings),
        "options": {
            "device": options.device,
            "chunk_size": options.chunk_size,
            "max_tokens_per_batch": options.max_tokens_per_batch,
            "format": options.format,
            "save_pae": options.save_pae,
        },
        "model": dict(model),
        "device_name": _device_name(str(model.get("device", "cpu"))),
        "versions": environment_versions(),
        "platform": platform.platform(),
        "started": _now(),
    }


def _device_name(device: str) -> str:
    if device.startswith("cuda"):
        import torch

        return str(torch.cuda.get_device_name(device))
    return platform.processor() or platform.machine()


def _about(record: Record) -> dict[str, Any]:
    return {
        "header": record.header,
        "num_tokens": record.num_tokens,
        "warnings": list(record.warnings),
        "finished": _now(),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _reason(error: Exception) -> str:
    first = (str(error).strip() or "no message").split("\n")[0]
    if is_out_of_memory(error):
        return f"out of memory: {first}"
    return first if isinstance(error, LowmemFoldError) else f"{type(error).__name__}: {first}"


def _release_memory() -> None:
    """After a failure: tensors in reference cycles, and blocks that the allocator of a device keeps."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        with suppress(RuntimeError):  # a device that an error has left broken raises it again
            torch.cuda.empty_cache()
