"""A model of a family with its weights, where they live, and the budget that it keeps to."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn

from .checkpoints.checkpoint import Checkpoint
from .checkpoints.description import description
from .checkpoints.inventory import inventory
from .checkpoints.loader import planned_model
from .checkpoints.weight_files import WeightFiles
from .errors import InputError
from .families.interface import FoldingFamily
from .memory.budget import format_memory
from .planning.budget import AMPLE_BYTES, Budget
from .precision import Precision
from .predictions.prediction import Prediction
from .residency import PLACEMENTS, Residency, refusal
from .residency.placed_model import PlacedModel
from .sequences.packing import packed
from .sequences.records import Record
from .system.html import table_html

__all__ = ["LoadedModel"]

GROUP_TOKENS = 1024
"""Tokens that a language model computes at once: its products gain nothing from more."""
_log = logging.getLogger(__name__)


class LoadedModel:
    """What a `Folder` folds with: records in, predictions out, one fold at a time.

    Parameters
    ----------
    weights : PlacedModel or nn.Module
        A module stays where it is.
    checkpoint : Checkpoint
    precision : Precision
        As it was asked for.
    budget : Budget or None
        None where the system does not say what memory there is.
    family : FoldingFamily
    """

    def __init__(
        self,
        weights: PlacedModel | nn.Module,
        checkpoint: Checkpoint,
        precision: Precision,
        budget: Budget | None,
        family: FoldingFamily,
    ) -> None:
        if not isinstance(weights, PlacedModel):
            weights.architecture = family.architecture
            present = weights, Residency.of(weights)
            weights = PlacedModel(checkpoint.name, lambda placement: present, PLACEMENTS[0])
        self._weights, self._budget = weights, budget
        self.checkpoint, self.precision, self.family = checkpoint, precision, family
        self.device: torch.device = weights.model.device
        self._lock = threading.RLock()  # weights are brought for one fold at a time

    @property
    def model(self) -> Any:
        """The container of the weights; WeightsLostError where they are lost."""
        return self._weights.model

    @property
    def placement(self) -> str:
        """Where the weights live."""
        return self._weights.placement

    @property
    def placements(self) -> tuple[str, ...]:
        """Those that model, precision and device can have, from the fastest to the smallest."""
        planned = planned_model(self.checkpoint, self.precision.resolve(self.device), self.family.architecture)
        files = WeightFiles(self.checkpoint.path)
        return tuple(name for name in PLACEMENTS if not refusal(planned, files, name, self.device.type))

    def place(self, placement: str) -> None:
        """Give the weights up, and load them again in another placement.

        Raises
        ------
        InputError
            If model, precision and device cannot have it. As after any other error, the weights are where they were.
        WeightsLostError
            If they could not be loaded where they were either. A later call tries again.
        """
        if placement not in self.placements:
            raise InputError(f"{self.checkpoint.name} as {self.precision} on {self.device} cannot be {placement}")
        with self._lock:
            self._weights.place(placement)

    def describe(self) -> dict[str, Any]:
        """What a record of a run says of the model; JSON-able."""
        return {
            **description(self.model, self.checkpoint, self.precision, self.device),
            "placement": self.placement,
            "weights_wait_in": self._weights.residency.waits_in,
        }

    def table_html(self) -> str:
        """Return what a notebook shows of it."""
        told = {
            "precision": str(self.precision),
            "stored as": str(self.precision.resolve(self.device)),
            "device": str(self.device),
            "placement": self.placement,
            **self._weights_told(),
            "model files": str(self.checkpoint.path),
        }
        return table_html(self.checkpoint.name, told)

    def _weights_told(self) -> dict[str, str]:
        if self._weights.is_lost:
            return {}
        total = inventory(self.model)["total"]
        return {"weights": f"{total['weights']:,}", "size of weights": format_memory(total["bytes"])}

    def planned_placement(self, length: int) -> str | None:
        """Return the fastest placement that a record of so many residues, linkers included, is planned to fit in.

        None if it fits in none. Where the system does not say what memory there is, the present one.
        """
        return self.placement if self._budget is None else self._budget.planned_placement(length)

    def fold(
        self, records: Sequence[Record], states: Sequence[torch.Tensor] | None, **options: Any
    ) -> list[Prediction]:
        """Fold records side by side, in another placement if the budget wants it; options as of the family's `fold`."""
        _check_states(states, records)
        inputs = [self.family.features(record, self.device) for record in records]
        self._keep_within_budget(inputs)
        with self._running() as residency:
            return self.family.fold(
                self.model,
                records,
                inputs,
                residency=residency,
                precision=self.precision,
                states=states,
                **options,
            )

    def stem_states(self, records: Sequence[Record], progress: Callable[[float], None] | None) -> list[torch.Tensor]:
        """Run the language model over records: what the trunk begins with of each, float32, on the CPU."""
        inputs = [self.family.features(record, self.device) for record in records]
        if not inputs:
            return []
        longest, windows = self._stem_windows(inputs)
        states, done, total = [], 0, sum(map(len, inputs))
        for window in windows:
            tokens = sum(map(len, window))
            told = None if progress is None else partial(_told, progress, done / total, tokens / total)
            with self._running() as residency:
                found = self.family.stem_states(self.model, window, residency, told, longest)
            states += [state.float().cpu() for state in found]
            done += tokens
        return states

    def _stem_windows(self, inputs: Sequence[Any]) -> tuple[int, list[list[Any]]]:
        """Residues that are computed together, and the records for which each layer comes once: as many as have room
        for their states beside the longest; all of them where the system does not say what room there is."""
        if self._budget is None:
            return GROUP_TOKENS, [list(inputs)]
        longest = max(inputs, key=len)
        length = len(longest)
        self._keep_within_budget([longest])
        state_bytes = self.family.state_bytes(self.model)
        if self._budget.is_ample(length):
            return GROUP_TOKENS, packed(inputs, len, AMPLE_BYTES // state_bytes)
        room = length + self._budget.spare_bytes(self.placement) // state_bytes
        return length, packed(inputs, len, room)

    @contextmanager
    def _running(self) -> Iterator[Residency]:
        """Within the budget and alone of all threads, what brings the weights."""
        limit = nullcontext() if self._budget is None else self._budget.enforced()
        with self._lock, limit, self._weights.in_use() as residency:
            yield residency

    def _keep_within_budget(self, inputs: Sequence[Any]) -> None:
        """Another placement if the budget wants it. Pair states lie side by side, as one of all their pairs would."""
        if self._budget is None:
            return
        length = math.isqrt(sum(len(given) ** 2 for given in inputs) - 1) + 1
        wanted = self._budget.placement(length, self.placement)
        if wanted != self.placement:
            _log.info("%d residues do not fit %s: the weights are %s from now on", length, self.placement, wanted)
            self.place(wanted)


def _check_states(states: Sequence[torch.Tensor] | None, records: Sequence[Record]) -> None:
    lengths = [] if states is None else [len(state) for state in states]
    if states is not None and lengths != [record.num_tokens for record in records]:
        raise InputError(f"states of {lengths} residues are not those of {[r.num_tokens for r in records]} residues")


def _told(progress: Callable[[float], None], before: float, share: float, part: float) -> None:
    """Tells the part of all, given that of one window."""
    progress(before + share * part)
