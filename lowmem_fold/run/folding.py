"""The run over many records: what is finished is skipped, what fails is noted, what comes out is written at once."""

from __future__ import annotations

import logging
import platform
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any

from ..errors import DeviceFailedError, LowmemFoldError, OutputLostError
from ..memory.budget import parse_memory
from ..memory.exhaustion import capacity_text, check_device, is_out_of_memory, others_text, release_memory
from ..memory.limit import enforced
from ..memory.meters import peak_meter
from ..system.log import logging_to
from ..system.settings import differing_settings
from ..system.versions import environment_versions
from .batches import WINDOW_TOKENS, next_window, plan_batches
from .budget import smallest_budget_text
from .checks import check_output, check_unlocked
from .classes import sort_by_placement
from .ladder import Ladder
from .options import RunOptions, known_settings, result_settings
from .output import LOG, STEM, OutputFolder
from .progress import SilentProgress
from .rung import NoRoomError, Rung
from .stem_cache import StemCache
from .stem_phase import Stem, StemPhase
from .stopping import StopSignals
from .table import FAILED, OK, SUSPECT

if TYPE_CHECKING:
    from ..folder import Folder
    from ..predictions.prediction import Prediction
    from ..sequences.records import Record

__all__ = ["RunSummary", "fold_records"]

_log = logging.getLogger(__name__)


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
    lowered : list of str
        Written, but folded in a lower precision than asked for, as ``RunOptions.allow_precision`` let them be.
    incomplete : list of str
        Written as mmCIF only, as their coordinates leave the columns of a PDB file.
    damaged : list of str
        Finished before, but folded again: a file was not any more what had been written, or their scores could not be
        read.
    absent : list of str
        In the folder, and not in the input.
    other_files : list of str
        Names of files of these records that come from an earlier fold, in a format that was not asked for now.
    """

    folded: list[str] = field(default_factory=list)
    suspect: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    lowered: list[str] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    other_files: list[str] = field(default_factory=list)


def fold_records(
    records: Sequence[Record],
    out: str | Path,
    options: RunOptions | None = None,
    *,
    load: Callable[..., Folder] | None = None,
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
    check_output(output, records, options, known_settings(options))
    check_unlocked(output)
    if options.stem_cache is not None:
        StemCache(Path(options.stem_cache), {}).check()
    todo = _likely_unfinished(output, records, options)
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
        check_output(output, records, options, settings)
        with output.opened(), logging_to(output.path / LOG):
            check_output(output, records, options, settings)  # another run may have ended here since
            run = _Run(ladder, model, output, options, progress, stops or StopSignals())
            return run.fold(records, _config(settings, options, model))


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
        self._ladder = ladder
        self._output = output
        self._options = options
        self._progress = progress
        self._stops = stops
        self._device = str(model.get("device", "cpu"))
        self._cache = StemCache(
            Path(options.stem_cache or output.path / STEM), model, shared=options.stem_cache is not None
        )
        self._stem = StemPhase(ladder, self._cache, self._device, progress, stops)
        self._summary = RunSummary()

    def fold(self, records: Sequence[Record], config: Mapping[str, Any]) -> RunSummary:
        settings = config["settings"]
        todo = self._output.unfinished(records, self._options, settings)
        order = [record.id for record in records]
        self._summary.skipped = sorted(set(order) - {record.id for record in todo})
        self._summary.damaged = self._output.damaged
        with self._stops.held():
            self._output.begin(config, order)
        if self._output.damaged:
            _log.warning("damaged, and folded again: %s", ", ".join(self._output.damaged))
        _log.info("start: %d records, %d to fold, settings %s", len(records), len(todo), dict(settings))
        self._progress.start(todo, self._options.num_recycles + 1)
        _log.info("memory: %s", capacity_text(self._device))
        planned = plan_batches(todo, self._options.max_tokens_per_batch)
        batches = deque(sort_by_placement(planned, self._ladder.model().planned_placement))
        try:
            while batches:
                self._fold_window(next_window(batches, WINDOW_TOKENS if self._two_phases else 0))
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
        predictions, notes = self._attempt(batch, stems)
        self._stops.check()
        if predictions is not None:
            with self._stops.held():  # a stop waits for the whole batch: all of it is computed
                for record, prediction in zip(batch, predictions, strict=True):
                    self._save(record, prediction, _with_stem(notes, stems.get(record.id)))
        elif len(batch) > 1:
            _log.warning("the batch of %d is folded one by one", len(batch))
            for record in batch:
                self._fold_batch([record], stems)
        else:
            self._save_failure(batch[0], notes)

    def _attempt(
        self, batch: Sequence[Record], stems: Mapping[str, Stem]
    ) -> tuple[list[Prediction] | None, dict[str, Any]]:
        """Predictions, or None; and what is noted of them. The error is let go of: it holds the tensors."""
        start = time.perf_counter()
        try:
            if len(batch) == 1:
                ladder = self._ladder.fold(batch[0], lambda model, rung: self._predict(model, rung, batch, stems))
            else:
                predicted = self._predict(self._ladder.model(), self._ladder.top, batch, stems)
                self._ladder.placed()
                ladder = predicted, {**self._ladder.top.notes, "attempts": 1}
        except Exception as error:
            _log.error("%s failed\n%s", ", ".join(record.id for record in batch), traceback.format_exc().rstrip())
            check_device(self._device)
            failure = self._failure(batch, error)
        else:
            (predictions, measured), notes = ladder
            return predictions, {**notes, **measured, "device": self._device}
        release_memory()
        return None, {**failure, "seconds": round(time.perf_counter() - start, 3), "device": self._device}

    def _predict(
        self, model: Folder, rung: Rung, batch: Sequence[Record], stems: Mapping[str, Stem]
    ) -> tuple[list[Prediction], dict[str, Any]]:
        """Predictions, and what was measured."""
        keywords = {
            **self._options.fold_keywords,
            "chunk_size": rung.chunk_size,
            "progress": self._progress.advanced,
        }
        # A stem in the precision asked for is no part of a fold in a lower one.
        states = [stems[record.id].state for record in batch if record.id in stems and rung.precision is None]
        whole = len(states) == len(batch)
        start = time.perf_counter()
        with peak_meter(self._device) as meter:
            if len(batch) == 1:
                predictions = [model.fold(batch[0], states=states[0] if whole else None, **keywords)]
            else:
                predictions = model.fold_batch(batch, states=states if whole else None, **keywords)
        if len(predictions) != len(batch):
            raise RuntimeError(f"{len(batch)} records were folded together, and {len(predictions)} results came back")
        return predictions, {
            "seconds": round((time.perf_counter() - start) / len(batch), 3),
            "batch_records": len(batch),
            "peak_bytes": meter.peak_bytes,
            "peak_meter": meter.name,
        }

    def _failure(self, batch: Sequence[Record], error: Exception) -> dict[str, Any]:
        if not isinstance(error, NoRoomError):
            return {"reason": _reason(error), "error_type": type(error).__name__}
        tried = f"{error.attempts} attempts, the last: {error.rung}"
        budget = smallest_budget_text(batch[0], self._options)
        reason = f"out of memory ({tried}){budget}{others_text(self._device)}: {error}"
        return {"reason": reason, "error_type": error.error_type, "attempts": error.attempts}

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
        self._summary.folded.append(record.id)
        if "precision" in notes:
            self._summary.lowered.append(record.id)
        if problems:
            self._summary.suspect.append(record.id)
        if line.get("left_out"):
            self._summary.incomplete.append(record.id)
        self._tell(record, line)

    def _save_failure(self, record: Record, notes: Mapping[str, Any]) -> None:
        with self._stops.held():
            line = self._output.save_failure(record, {**_about(record), "status": FAILED, **notes})
        self._summary.failed.append(record.id)
        self._tell(record, line)

    def _tell(self, record: Record, line: Mapping[str, Any]) -> None:
        _log.info("%s: %s, %d residues, %.1f s", record.id, line["status"], record.length, line["seconds"])
        self._progress.finished(record, line)


def _with_others(summary: RunSummary, output: OutputFolder, records: Sequence[Record]) -> RunSummary:
    """The summary, with what the folder holds that is not of these records as they were asked for."""
    summary.absent, summary.other_files = output.absent(records), output.other_files(records)
    return summary


def _with_stem(notes: Mapping[str, Any], stem: Stem | None) -> dict[str, Any]:
    """Notes of a record whose stem has run before, with its part."""
    if stem is None:
        return dict(notes)
    peaks = [peak for peak in (notes["peak_bytes"], stem.peak_bytes) if peak is not None]
    return {**notes, "seconds": round(notes["seconds"] + stem.seconds, 3), "peak_bytes": max(peaks, default=None)}


def _likely_unfinished(output: OutputFolder, records: Sequence[Record], options: RunOptions) -> Sequence[Record]:
    """What is left to fold, as far as that can be known without the model: all of it where it cannot."""
    config = output.read_config(adopt=options.adopt) if output.path.is_dir() else None
    if config is None or options.overwrite:
        return records
    stored, known = config["settings"], known_settings(options)
    if stored.get("model") != options.model or differing_settings(stored, known):
        return records
    return output.unfinished(records, options, stored)


def _budget(options: RunOptions) -> AbstractContextManager[None]:
    """Holds `--memory` where the device has memory of its own."""
    if options.memory is None or options.device in ("cpu", "mps"):
        return nullcontext()
    from ..system.devices import find_device

    return enforced(find_device(options.device), parse_memory(options.memory))


def _default_load() -> Callable[..., Folder]:
    from ..loading import load

    return load


def _config(settings: Mapping[str, Any], options: RunOptions, model: Mapping[str, Any]) -> dict[str, Any]:
    """What ``config.json`` says: by ``settings`` alone it is judged whether a later run may go on."""
    return {
        "settings": dict(settings),
        "options": {
            "device": options.device,
            "memory": options.memory,
            "host_memory": options.host_memory,
            "placement": options.placement,
            "allow_precision": list(options.allow_precision),
            "stem_cache": options.stem_cache,
            "chunk_size": options.chunk_size,
            "max_tokens_per_batch": options.max_tokens_per_batch,
            "format": options.format,
            "save_pae": options.save_pae,
            "allow_nucleotide_letters": options.allow_nucleotide_letters,
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
