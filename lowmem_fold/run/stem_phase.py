"""The stem for many records at once, before the trunk for each."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..memory.exhaustion import is_out_of_memory, release_memory
from ..memory.meters import peak_meter
from .ladder import Ladder
from .progress import SilentProgress
from .stem_cache import StemCache
from .stopping import StopSignals

if TYPE_CHECKING:
    from ..sequences.records import Record

__all__ = ["Stem", "StemPhase"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stem:
    """What the stem made of a record.

    state: (L, C_s) float32 on the CPU.
    seconds: the record's share of what the stem took for all; nothing for what was found in the cache.
    peak_bytes: of memory meanwhile.
    """

    state: Any
    seconds: float = 0.0
    peak_bytes: int | None = None

    def added_to(self, notes: Mapping[str, Any]) -> dict[str, Any]:
        """Return the notes of the record's fold with the stem's part."""
        peaks = [peak for peak in (notes["peak_bytes"], self.peak_bytes) if peak is not None]
        return {**notes, "seconds": round(notes["seconds"] + self.seconds, 3), "peak_bytes": max(peaks, default=None)}


class StemPhase:
    """Runs the stem, each of whose layers then arrives once for all records of a window."""

    def __init__(
        self, ladder: Ladder, cache: StemCache, device: str, progress: SilentProgress, stops: StopSignals
    ) -> None:
        self._ladder, self._cache, self._device = ladder, cache, device
        self._progress, self._stops = progress, stops
        self._writable = True

    def run(self, records: Sequence[Record]) -> dict[str, Stem]:
        """By id. A record whose stem fails is absent: its fold then runs the stem again, and says what is wrong."""
        by_key = {self._cache.key(record): record for record in records}  # records of the same chains share one
        found = self._cached(by_key)
        self._progress.stem_ended([record for record in records if self._cache.key(record) in found])
        self._compute([record for key, record in by_key.items() if key not in found], found)
        return {record.id: found[key] for record in records if (key := self._cache.key(record)) in found}

    def _cached(self, by_key: Mapping[str, Record]) -> dict[str, Stem]:
        states = {key: self._cache.get(record) for key, record in by_key.items()}
        if all(state is None for state in states.values()):
            return {}
        import torch

        return {key: Stem(torch.from_numpy(state)) for key, state in states.items() if state is not None}

    def _compute(self, records: Sequence[Record], found: dict[str, Stem]) -> None:
        """Adds what can be had. Fewer at a time where memory runs out, and then in a lower placement."""
        if not records:
            return
        self._progress.stem_begins(records)
        short_of_memory = False
        try:
            found |= self._computed(records)
        except Exception as error:
            ids = ", ".join(record.id for record in records)
            _log.warning("the language model failed for %s\n%s", ids, traceback.format_exc().rstrip())
            short_of_memory = is_out_of_memory(error)
        else:
            self._progress.stem_ended(records)
            self._stops.check()
            return
        release_memory()
        self._stops.check()
        if not short_of_memory:
            return
        if len(records) > 1:
            half = len(records) // 2
            self._compute(records[:half], found)
            self._compute(records[half:], found)
        elif self._ladder.lower_placement():
            self._compute(records, found)

    def _computed(self, records: Sequence[Record]) -> dict[str, Stem]:
        start = time.perf_counter()
        with peak_meter(self._device) as meter:
            states = self._ladder.model().stem_states(records, progress=self._progress.advanced)
        seconds = (time.perf_counter() - start) / sum(record.num_tokens for record in records)
        for record, state in zip(records, states, strict=True):
            self._keep(record, state)
        return {
            self._cache.key(record): Stem(state, seconds * record.num_tokens, meter.peak_bytes)
            for record, state in zip(records, states, strict=True)
        }

    def _keep(self, record: Record, state: Any) -> None:
        """What cannot be kept costs time in another run, and nothing in this one."""
        try:
            if self._writable:
                self._cache.put(record, state)
        except OSError as error:
            _log.warning("the language model's results are not kept: %s", error)
            self._writable = False
