"""The run over many records: what is finished is skipped, what fails is noted, what comes out is written at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any

from ..errors import DeviceFailedError, LowmemFoldError, OutputLostError
from ..memory.budget import parse_memory
from ..memory.exhaustion import capacity_text
from ..memory.limit import enforced
from ..system.log import logging_to
from .batch_fold import BatchFold
from .checks import unfinished
from .ladder import Ladder
from .options import RunOptions, result_settings
from .order import planned_windows
from .output import LOG, STEM, OutputFolder
from .progress import SilentProgress
from .run_config import run_config
from .stem_cache import StemCache
from .stem_phase import Stem, StemPhase
from .stopping import StopSignals
from .summary import RunSummary
from .table import FAILED, OK, SUSPECT

if TYPE_CHECKING:
    from ..folder import Folder
    from ..predictions.prediction import Prediction
    from ..sequences.records import Record

__all__ = ["RunSummary", "fold_records"]

_log = logging.getLogger(__name__)


def fold_records(
    records: Sequence[Record],
    out: str | Path,
    options: RunOptions | None = None,
    *,
    load: Callable[..., Folder] | None = None,
    progress: SilentProgress | None = None,
    stops: StopSignals | None = None,
) -> RunSummary:
    """Fold records into a folder, resuming from what is finished there.

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
        As ``lowmem_fold.load``, which is the default. Called when all else is checked, and not at all when every record
        is finished; again where memory is short and ``RunOptions.allow_precision`` has a lower precision.
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
    OutputLostError
        If the folder is removed or replaced meanwhile.
    OSError
        If a result cannot be written, as on a full disk. What was written stays sound.
    DeviceFailedError
        If the CUDA device no longer answers. What was written stays sound.
    """
    options = options or RunOptions()
    output = OutputFolder(out)
    todo = unfinished(output, records, options)
    if not todo:
        with output.opened():
            output.repair_table([record.id for record in records])
            rmtree(output.path / STEM, ignore_errors=True)
            return _with_others(RunSummary(skipped=[record.id for record in records]), output, records)
    progress = progress or SilentProgress()
    progress.loading(options.model)
    with _budget(options):
        # Loaded for the shortest: the model places its weights anew when a longer record needs that.
        ladder = Ladder(load or _default_load(), options, min(record.num_tokens for record in todo))
        model = ladder.model().describe()
        settings = result_settings(options, model)
        with output.opened():
            todo = unfinished(output, records, options, settings)  # another run may have ended here since
            with logging_to(output.path / LOG):
                run = _Run(ladder, model, output, options, progress, stops or StopSignals())
                return run.fold(records, todo, run_config(settings, options, model))


class _Run:
    """A run that holds its folder and its model."""

    def __init__(
        self,
        ladder: Ladder,
        model: Mapping[str, Any],
        output: OutputFolder,
        options: RunOptions,
        progress: SilentProgress,
        stops: StopSignals,
    ) -> None:
        self._ladder, self._output, self._options = ladder, output, options
        self._progress, self._stops = progress, stops
        self._device = str(model.get("device", "cpu"))
        self._cache = StemCache(
            Path(options.stem_cache or output.path / STEM), model, shared=options.stem_cache is not None
        )
        self._stem = StemPhase(ladder, self._cache, self._device, progress, stops)
        self._batches = BatchFold(ladder, options, self._device, progress)
        self._summary = RunSummary()

    def fold(self, records: Sequence[Record], todo: Sequence[Record], config: Mapping[str, Any]) -> RunSummary:
        order = [record.id for record in records]
        self._summary.skipped = sorted(set(order) - {record.id for record in todo})
        self._summary.damaged = self._output.damaged
        with self._stops.held():
            self._output.begin(config, order)
        if self._output.damaged:
            _log.warning("damaged, and folded again: %s", ", ".join(self._output.damaged))
        _log.info("start: %d records, %d to fold, settings %s", len(records), len(todo), config["settings"])
        self._progress.start(todo, self._options.num_recycles + 1)
        _log.info("memory: %s", capacity_text(self._device))
        most = self._options.max_tokens_per_batch
        windows = planned_windows(todo, most, self._ladder.model().planned_placement, lambda: self._two_phases)
        try:
            for window in windows:
                self._fold_window(window)
            with self._stops.held():
                self._output.arrange_table(order)
            self._output.check_all_there(self._summary.folded)
        except KeyboardInterrupt as stop:
            _log.info("stopped by %s with %d of %d folded", stop or "Ctrl-C", len(self._summary.folded), len(todo))
            raise
        except (OSError, DeviceFailedError) as error:
            _log.error("stopped: %s", error)
            raise
        finally:
            self._progress.close()
        rmtree(self._output.path / STEM, ignore_errors=True)
        _log.info("end: %d folded, %d failed", len(self._summary.folded), len(self._summary.failed))
        return _with_others(self._summary, self._output, records)

    @property
    def _two_phases(self) -> bool:
        """Whether the stem runs for many records first: where its weights have to be brought, or others may use what it
        makes."""
        return self._options.stem_cache is not None or self._ladder.top.placement != "resident"

    def _fold_window(self, window: Sequence[Sequence[Record]]) -> None:
        stems = self._stem.run([record for batch in window for record in batch]) if self._two_phases else {}
        for batch in window:
            self._fold_batch(batch, stems)

    def _fold_batch(self, batch: Sequence[Record], stems: Mapping[str, Stem]) -> None:
        self._progress.working_on(batch)
        predictions, notes = self._batches.fold(batch, stems)
        self._stops.check()
        if predictions is not None:
            with self._stops.held():  # a stop waits for the whole batch: all of it is computed
                for record, prediction in zip(batch, predictions, strict=True):
                    whole = stems[record.id].added_to(notes) if record.id in stems else notes
                    self._save(record, prediction, whole)
        elif len(batch) > 1:
            _log.warning("the batch of %d is folded one by one", len(batch))
            for record in batch:
                self._fold_batch([record], stems)
        else:
            self._save_failure(batch[0], notes)

    def _save(self, record: Record, prediction: Prediction, notes: Mapping[str, Any]) -> None:
        problems = prediction.problems()
        status = {"status": SUSPECT if problems else OK, "reason": "; ".join(problems) or None}
        try:
            with self._stops.held():
                line = self._output.save(prediction, {**_about(record), **status, **notes}, self._options)
        except OutputLostError:
            raise
        except LowmemFoldError as error:  # the structure does not fit the format
            self._save_failure(record, {**notes, "reason": str(error), "error_type": type(error).__name__})
            return
        if self._options.stem_cache is None:
            self._cache.drop(record)
        self._tell(record, line)

    def _save_failure(self, record: Record, notes: Mapping[str, Any]) -> None:
        with self._stops.held():
            line = self._output.save_failure(record, {**_about(record), "status": FAILED, **notes})
        self._tell(record, line)

    def _tell(self, record: Record, line: Mapping[str, Any]) -> None:
        self._summary.add(line)
        _log.info("%s: %s, %d residues, %.1f s", record.id, line["status"], record.length, line["seconds"])
        self._progress.finished(record, line)


def _with_others(summary: RunSummary, output: OutputFolder, records: Sequence[Record]) -> RunSummary:
    """The summary, with what the folder holds that is not of these records as they were asked for."""
    summary.absent, summary.other_files = output.absent(records), output.other_files(records)
    return summary


def _budget(options: RunOptions) -> AbstractContextManager[None]:
    """Holds `--memory` where the device has memory of its own."""
    if options.memory is None or options.device in ("cpu", "mps"):
        return nullcontext()
    from ..system.devices import find_device

    return enforced(find_device(options.device), parse_memory(options.memory))


def _default_load() -> Callable[..., Folder]:
    from ..loading import load

    return load


def _about(record: Record) -> dict[str, Any]:
    return {
        "header": record.header,
        "num_tokens": record.num_tokens,
        "warnings": list(record.warnings),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
