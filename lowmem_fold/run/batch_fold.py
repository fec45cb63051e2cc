"""The fold of one batch, and what is measured and noted of it."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..memory.exhaustion import check_device, release_memory
from ..memory.meters import peak_meter
from .failure import failure_notes
from .ladder import Ladder
from .options import RunOptions
from .progress import SilentProgress
from .rung import Rung
from .stem_phase import Stem

if TYPE_CHECKING:
    from ..folder import Folder
    from ..predictions.prediction import Prediction
    from ..sequences.records import Record

__all__ = ["BatchFold"]

_log = logging.getLogger(__name__)


class BatchFold:
    """Folds batches: a record alone down the ladder, several together on its top rung only."""

    def __init__(self, ladder: Ladder, options: RunOptions, device: str, progress: SilentProgress) -> None:
        self._ladder, self._options, self._device, self._progress = ladder, options, device, progress

    def fold(
        self, batch: Sequence[Record], stems: Mapping[str, Stem]
    ) -> tuple[list[Prediction] | None, dict[str, Any]]:
        """Return predictions, or None; and what is noted of them. The error is let go of: it holds the tensors."""
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
            failure = failure_notes(batch, error, self._options, self._device)
        else:
            (predictions, measured), notes = ladder
            return predictions, {**notes, **measured, "device": self._device}
        release_memory()
        return None, {**failure, "seconds": round(time.perf_counter() - start, 3), "device": self._device}

    def _predict(
        self, model: Folder, rung: Rung, batch: Sequence[Record], stems: Mapping[str, Stem]
    ) -> tuple[list[Prediction], dict[str, Any]]:
        """Predictions, and what was measured."""
        own = {"chunk_size": rung.chunk_size, "progress": self._progress.advanced}
        keywords = {**self._options.fold_keywords, **own}
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
