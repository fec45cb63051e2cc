"""A loaded model that folds: sequences in, predictions out."""

from __future__ import annotations

import logging
import math
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from itertools import count
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
from .families.registry import find_folding_model
from .memory.budget import format_memory
from .memory.exhaustion import forget_frames, is_out_of_memory, release_memory
from .planning.budget import AMPLE_BYTES, Budget
from .precision import Precision
from .predictions.prediction import Prediction
from .residency import PLACEMENTS, Residency, refusal
from .residency.placed_model import PlacedModel
from .sequences.ids import check_id
from .sequences.packing import packed
from .sequences.records import Record
from .sequences.sequence_lists import GivenSequence, Sequences, check_sequence, list_sequences, parse_given
from .system.html import table_html
from .system.terminal import printable

__all__ = ["Folder"]

GROUP_TOKENS = 1024
"""Tokens that a language model computes at once: its products gain nothing from more."""
_log = logging.getLogger(__name__)


class Folder:
    """A model on its device. Made by `load`.

    Several threads may use it: their folds run one after another. As the result of a cell, a notebook shows a table of
    what it is; text shows one line.
    """

    def __init__(
        self,
        weights: PlacedModel | nn.Module,
        checkpoint: Checkpoint,
        precision: Precision | None = None,
        budget: Budget | None = None,
        family: FoldingFamily | None = None,
    ) -> None:
        self._family = family or find_folding_model(checkpoint.name)[1]
        if not isinstance(weights, PlacedModel):  # a model that is there, to stay where it is
            weights.architecture = self._family.architecture
            present = weights, Residency.of(weights)
            weights = PlacedModel(checkpoint.name, lambda placement: present, PLACEMENTS[0])
        self._weights = weights
        self.checkpoint = checkpoint
        self.precision = precision or Precision()
        self._device = weights.model.device
        self._budget = budget
        self._lock = threading.RLock()  # weights are brought for one fold at a time
        self._numbers = count(1)  # of the ids of records that have none

    def __repr__(self) -> str:
        return printable(f"<Folder {self.checkpoint.name}: {self.precision} on {self.device}, {self.placement}>")

    def _repr_html_(self) -> str:
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

    @property
    def model(self) -> Any:
        """The Hugging Face container of the weights. Raises WeightsLostError where `place` has lost them."""
        return self._weights.model

    @property
    def device(self) -> torch.device:
        """The device that computes."""
        return self._device

    @property
    def placement(self) -> str:
        """Where the weights live: see `lowmem_fold.residency`."""
        return self._weights.placement

    @property
    def placements(self) -> tuple[str, ...]:
        """Those that model, precision and device can have, from the fastest to the smallest."""
        planned = planned_model(self.checkpoint, self.precision.resolve(self.device), self._family.architecture)
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

    def stem_states(
        self,
        sequences: Sequences,
        *,
        allow_nucleotide_letters: bool = False,
        progress: Callable[[float], None] | None = None,
    ) -> list[torch.Tensor]:
        """Run the stem alone: for each record the sequence state (L, C_s) that the trunk begins with, float32, on the
        CPU; L counts linkers. Each layer's weights are brought once, for all of them. sequences,
        allow_nucleotide_letters: as of `fold_batch`. progress: called after each with the part, 0 to 1, that is done.

        Raises
        ------
        InputError
            If a sequence holds what is no residue.
        """
        letters = {"allow_nucleotide_letters": allow_nucleotide_letters}
        records = [parse_given(given, **letters) for given in list_sequences(sequences)]
        inputs = [self._family.features(record, self.device) for record in records]
        if not inputs:
            return []
        longest, windows = self._stem_windows(inputs)
        states, done, total = [], 0, sum(map(len, inputs))
        for window in windows:
            residues = sum(map(len, window))
            told = None if progress is None else partial(_told, progress, done / total, residues / total)
            with self._limited():
                found = self._family.stem_states(self.model, window, self._weights.residency, told, longest)
            states += [state.float().cpu() for state in found]
            done += residues
        return states

    def _stem_windows(self, inputs: Sequence[Any]) -> tuple[int, list[list[Any]]]:
        """Residues that are computed together, and the records for which each layer comes once: as many as have room
        for their states beside the longest; all of them where the system does not say what room there is."""
        if self._budget is None:
            return GROUP_TOKENS, [list(inputs)]
        longest = max(inputs, key=len)
        length = len(longest)
        self._keep_within_budget([longest])
        state_bytes = self._family.state_bytes(self.model)
        if self._budget.is_ample(length):
            return GROUP_TOKENS, packed(inputs, len, AMPLE_BYTES // state_bytes)
        room = length + self._budget.spare_bytes(self.placement) // state_bytes
        return length, packed(inputs, len, room)

    def planned_placement(self, length: int) -> str | None:
        """Return the fastest placement that a record of so many residues, linkers included, is planned to fit in.

        None if it fits in none. Where the system does not say what memory there is, the present one.
        """
        return self.placement if self._budget is None else self._budget.planned_placement(length)

    @contextmanager
    def _limited(self) -> Iterator[None]:
        """Keep to the budget; after an error let go of what has been brought of the weights, and, where memory ran out
        or the fold was stopped, of all that it held."""
        with self._lock, nullcontext() if self._budget is None else self._budget.enforced():
            try:
                yield
            except BaseException as error:
                self._weights.residency.release()
                if is_out_of_memory(error) or not isinstance(error, Exception):
                    forget_frames(error)  # a notebook keeps the traceback, and with it the pair state
                    release_memory()
                raise

    def fold(
        self,
        sequence: str | Record,
        *,
        id: str | None = None,
        states: torch.Tensor | None = None,
        **options: Any,
    ) -> Prediction:
        """Fold one sequence.

        Parameters
        ----------
        sequence : str or Record
            One-letter codes, `:` between chains.
        id : str, optional
            Name of the prediction, and of the files that `Prediction.save` writes. By default that of a record, or
            `sequence_1`, `sequence_2`, ...: the sequences without an id are counted over all folds of this `Folder`.
        states : Tensor, optional
            What `stem_states` gave for it.
        **options
            As of `fold_batch`.

        Raises
        ------
        InputError
            As of `fold_batch`; also for an id that cannot be the name of a file.
        """
        check_sequence(sequence, "the sequence")
        sequences = [sequence] if id is None else {id: sequence}
        return self.fold_batch(sequences, states=None if states is None else [states], **options)[0]

    def fold_batch(
        self,
        sequences: Sequences,
        *,
        states: Sequence[torch.Tensor] | None = None,
        num_recycles: int = 3,
        chunk_size: int | None = None,
        recycle_tolerance: float | None = None,
        pae: bool = True,
        distogram: bool = False,
        allow_nucleotide_letters: bool = False,
        progress: Callable[[float], None] | None = None,
        phase: Callable[[str], None] | None = None,
    ) -> list[Prediction]:
        """Fold sequences side by side: the weights are read once for all. Each result equals that of folding it alone.

        Parameters
        ----------
        sequences : iterable or mapping of str or Record
            One-letter codes, `:` between chains. `U Z B O J` become X. A mapping is of ids to sequences; without an id
            they are numbered as by `fold`. A string alone is one sequence.
        states : sequence of Tensor, optional
            What `stem_states` gave for them: the stem is not run again.
        num_recycles : int
            Further passes after the first.
        chunk_size : int, optional
            Rows of the pair state worked on at once; by default as many as fit the bytes that `Tiling` allows them.
        recycle_tolerance : float, optional
            Stop recycling once the CA distances change by less than so many Angstrom (root mean square).
        pae : bool
            Whether to keep the predicted aligned error, L x L numbers.
        distogram : bool
            Whether to keep the distogram's logits, L x L x 64 numbers.
        allow_nucleotide_letters : bool
            Whether a sequence that looks like DNA or RNA, 15 letters or more that are all of `ACGTUN`, is folded as a
            protein; else it is refused. A record was checked where it was read.
        progress : callable, optional
            Called after each block of the trunk with the part, 0 to 1, that is done.
        phase : callable, optional
            Called with `stem`, `trunk`, `structure` or `heads` where each begins: trunk and structure in every pass.

        Raises
        ------
        InputError
            If a sequence holds what is no residue, an option is out of range, or nothing fits the memory that `load`
            was given: says what would.
        """
        options = {"num_recycles": num_recycles, "chunk_size": chunk_size, "recycle_tolerance": recycle_tolerance}
        self._family.check_options(**options)
        given = list_sequences(sequences)
        if not given:
            return []
        records = self._records(given, allow_nucleotide_letters)
        _warn_of_replaced(given, records)
        inputs = [self._family.features(record, self.device) for record in records]
        _check_states(states, records)
        self._keep_within_budget(inputs)
        with self._limited():
            return self._family.fold(
                self.model,
                records,
                inputs,
                residency=self._weights.residency,
                precision=self.precision,
                states=states,
                pae=pae,
                distogram=distogram,
                progress=progress,
                phase=phase,
                **options,
            )

    def _records(self, given: Sequence[GivenSequence], allow_nucleotide_letters: bool) -> list[Record]:
        """The records of sequences by their ids; those that have none are numbered once all are read."""
        records = [parse_given(each, allow_nucleotide_letters=allow_nucleotide_letters) for each in given]
        return [self._named(each, record) for each, record in zip(given, records, strict=True)]

    def _named(self, given: GivenSequence, record: Record) -> Record:
        if given.id is not None:
            return replace(record, id=check_id(given.id))
        if isinstance(given.sequence, Record):
            return record
        return replace(record, id=f"sequence_{next(self._numbers)}")

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


def _warn_of_replaced(given: Sequence[GivenSequence], records: Sequence[Record]) -> None:
    for each, record in zip(given, records, strict=True):
        for warning in () if isinstance(each.sequence, Record) else record.warnings:
            warnings.warn(printable(f"{record.id}: {warning}"), stacklevel=3)
