"""A loaded model that folds: sequences in, predictions out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import torch
from torch import nn

from .checkpoints.checkpoint import Checkpoint
from .families.interface import FoldingFamily
from .families.registry import folding_family
from .loaded_model import LoadedModel
from .planning.budget import Budget
from .precision import Precision
from .predictions.prediction import Prediction
from .residency.placed_model import PlacedModel
from .sequences.records import Record
from .sequences.sequence_lists import Sequences, check_sequence, list_sequences, named_records, parse_given
from .system.terminal import printable

__all__ = ["Folder"]


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
        family = family or folding_family(checkpoint)
        self._loaded = LoadedModel(weights, checkpoint, precision or Precision(), budget, family)
        self._numbers = count(1)  # of the ids of records that have none

    def __repr__(self) -> str:
        return printable(f"<Folder {self.checkpoint.name}: {self.precision} on {self.device}, {self.placement}>")

    def _repr_html_(self) -> str:
        return self._loaded.table_html()

    @property
    def checkpoint(self) -> Checkpoint:
        """The model on disk."""
        return self._loaded.checkpoint

    @property
    def precision(self) -> Precision:
        """As it was asked for."""
        return self._loaded.precision

    @property
    def model(self) -> Any:
        """The Hugging Face container of the weights. Raises WeightsLostError where `place` has lost them."""
        return self._loaded.model

    @property
    def device(self) -> torch.device:
        """The device that computes."""
        return self._loaded.device

    @property
    def placement(self) -> str:
        """Where the weights live: see `lowmem_fold.residency`."""
        return self._loaded.placement

    @property
    def placements(self) -> tuple[str, ...]:
        """Those that model, precision and device can have, from the fastest to the smallest."""
        return self._loaded.placements

    def place(self, placement: str) -> None:
        """Give the weights up, and load them again in another placement: see `LoadedModel.place`."""
        self._loaded.place(placement)

    def describe(self) -> dict[str, Any]:
        """Return what a record of a run says of the model; JSON-able."""
        return self._loaded.describe()

    def planned_placement(self, length: int) -> str | None:
        """Return the fastest placement that so many residues, linkers included, are planned to fit in; None if none.
        Where the system does not say what memory there is, the present one."""
        return self._loaded.planned_placement(length)

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
        return self._loaded.stem_states(records, progress)

    def fold(
        self, sequence: str | Record, *, id: str | None = None, states: torch.Tensor | None = None, **options: Any
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
        self._loaded.family.check_options(**options)
        given = list_sequences(sequences)
        if not given:
            return []
        records = named_records(given, self._numbers, allow_nucleotide_letters)
        for each, record in zip(given, records, strict=True):
            for warning in () if isinstance(each.sequence, Record) else record.warnings:
                warnings.warn(printable(f"{record.id}: {warning}"), stacklevel=2)
        kept = {"pae": pae, "distogram": distogram}
        return self._loaded.fold(records, states, progress=progress, phase=phase, **kept, **options)
