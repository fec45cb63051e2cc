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
from typing import TYPE_CHECKING, Any

import torch

from .checkpoints.checkpoint import Checkpoint, find_checkpoint
from .checkpoints.inventory import inventory
from .checkpoints.loader import planned_model
from .checkpoints.weight_files import WeightFiles
from .errors import InputError, WeightsLostError
from .esmfold.engine import GROUP_RESIDUES, FoldInput, FoldOutput, fold_batch, initial_sequence_states
from .esmfold.heads import max_aligned_error
from .esmfold.structure import atom14_positions
from .memory.budget import format_memory, parse_memory
from .memory.capacity import usable_bytes
from .memory.exhaustion import forget_frames, is_out_of_memory, release_memory
from .pair.storage import PairStorage
from .pair.tiles import Tiling
from .planning.budget import AMPLE_BYTES, Budget
from .planning.plan import Planner
from .precision import PARTS, Precision
from .predictions.confidence import chain_pair_iptm, interface_ptm, ptm
from .predictions.prediction import Prediction
from .quantization.formats import DTYPES
from .quantization.registry import unavailable
from .residency import PLACEMENTS, Residency, load_placed, refusal
from .residency.placed_model import PlacedModel
from .run.options import DEFAULT_MODEL, RunOptions
from .sequences.ids import check_id
from .sequences.packing import packed
from .sequences.residues import RESIDUE_ORDER, UNKNOWN, existing_atoms
from .sequences.sequence_lists import GivenSequence, Sequences, check_sequence, list_sequences, parse_given
from .sequences.sequences import Record, tokenize
from .system.devices import find_device
from .system.terminal import printable

if TYPE_CHECKING:
    import numpy as np
    from transformers import EsmForProteinFolding

__all__ = ["Folder", "chosen_precision", "description", "load", "placed_model"]

SHORT = 128
"""Residues for which a placement is chosen where no length is given."""
_log = logging.getLogger(__name__)


def load(
    model: str = DEFAULT_MODEL,
    *,
    precision: str | Precision | None = None,
    device: str | torch.device = "auto",
    placement: str | None = None,
    memory: str | int | None = None,
    host_memory: str | int | None = None,
    length: int | None = None,
) -> Folder:
    """Load a model, each layer straight in the form that it is to have.

    Parameters
    ----------
    model : str
        A hub id, a local folder in Hugging Face layout or written by `lowmem-fold quantize`, or `demo`: the small model
        that comes with the package.
    precision : str or Precision, optional
        What the parts are stored in: a preset (fp32, fp16, bf16, int8, int4, float8, bnb-int8, bnb-nf4) or
        `stem=int8,trunk=fp32,pair=bf16`; see `lowmem_fold.precision`. By default that of a quantized folder, else fp32.
    device : str or torch.device
        `cpu`, `cuda`, `cuda:N`, `mps`, or `auto`: CUDA where there is one, else the CPU.
    placement : str, optional
        `resident`, `staged` or `streamed`: see `lowmem_fold.residency`. By default the first of these that fits.
    memory : str or int, optional
        What weights and activations may take on the device: `8GB` (8 x 10^9 bytes), `8GiB` (2^33), or bytes from a MiB
        on. A fold that needs more is placed smaller, or refused. On CUDA the allocator holds to it; on a CPU it is of
        anonymous memory, and planned alone. By default what is free.
    host_memory : str or int, optional
        What weights that wait beside a device may take there; by default what is free.
    length : int, optional
        Residues of the longest protein that will be folded; the placement is chosen for it. A longer one changes the
        placement when it comes.

    Raises
    ------
    ModelError
        If the model cannot be had, or is not what its configuration says.
    InputError
        If the device is not there, or precision or placement cannot be had on it or of this model, or nothing fits.
    """
    target = find_device(device)
    checkpoint, asked, resolved = chosen_precision(model, precision, target)
    if placement is not None and placement not in PLACEMENTS:
        raise InputError(f"unknown placement {placement!r}; choose from: {', '.join(PLACEMENTS)}")
    host_bytes = None if host_memory is None else parse_memory(host_memory)
    release_memory()  # what a model before this one has left in the allocator's cache is free for this one
    budget = _budget(checkpoint, model, asked, resolved, target, placement, memory, host_memory)
    placement = (placement or PLACEMENTS[0]) if budget is None else budget.placement(length or SHORT)
    with nullcontext() if budget is None else budget.enforced():
        weights = placed_model(checkpoint, resolved, target, placement, host_bytes)
    return Folder(weights, checkpoint, asked, budget)


def _budget(
    checkpoint: Checkpoint,
    model: str,
    asked: Precision,
    resolved: Precision,
    device: torch.device,
    placement: str | None,
    memory: str | int | None,
    host_memory: str | int | None,
) -> Budget | None:
    """Return the budget that the model has to keep to: what it is given, else what the device has left.

    There is none only where the system does not say what that is. Whether there is one depends on the machine, never on
    which record comes first.
    """
    size = usable_bytes(device) if memory is None else parse_memory(memory)
    if size is None:
        return None
    held = torch.cuda.memory_allocated(device) if memory is None and device.type == "cuda" else 0

    def planner() -> Planner:
        given = size if memory is None else memory  # as it was written, for what is said of it
        return Planner(given, model, asked, str(device), placement, host_memory, num_recycles=3)

    def weight_bytes() -> int:
        return int(inventory(planned_model(checkpoint, resolved))["total"]["bytes"])

    return Budget(size, device, planner, weight_bytes, placement, int(held))


def placed_model(
    checkpoint: Checkpoint, resolved: Precision, device: torch.device, placement: str, host_bytes: int | None = None
) -> PlacedModel:
    """Load a model in a placement, and keep how it is loaded. host_bytes: what weights may take beside the device."""

    def loaded(name: str) -> tuple[EsmForProteinFolding, Residency]:
        return load_placed(checkpoint, resolved, device, name, host_bytes)

    return PlacedModel(checkpoint.name, loaded, placement)


def chosen_precision(
    model: str, precision: str | Precision | None, device: torch.device
) -> tuple[Checkpoint, Precision, Precision]:
    """The model on disk, the precision that `load` would take, what becomes of it on the device; errors as `load`."""
    checkpoint = find_checkpoint(str(model))
    asked = checkpoint.asked_precision(precision)
    resolved = asked.resolve(device)
    if checkpoint.policy() is None:
        _check_available(resolved, device)
    return checkpoint, asked, resolved


def _check_available(precision: Precision, device: torch.device) -> None:
    for weights in dict.fromkeys(precision.part(name).weights for name in PARTS):
        if reason := unavailable(weights, device):
            raise InputError(f"precision {weights}: {reason}")


def description(
    model: EsmForProteinFolding, checkpoint: Checkpoint, precision: Precision, device: torch.device
) -> dict[str, Any]:
    """What is said of a model at a precision on a device; `planned_model` will do for `model`. JSON-able."""
    return {
        "model": checkpoint.name,
        "source": str(checkpoint.path),
        "fingerprint": checkpoint.fingerprint(),
        "precision": str(precision),
        "resolved_precision": str(precision.resolve(device)),
        "weights": inventory(model),
        "device": str(device),
    }


class Folder:
    """A model on its device. Made by `load`.

    Several threads may use it: their folds run one after another. As the result of a cell, a notebook shows a table of
    what it is; text shows one line.
    """

    def __init__(
        self,
        weights: PlacedModel | EsmForProteinFolding,
        checkpoint: Checkpoint,
        precision: Precision | None = None,
        budget: Budget | None = None,
    ) -> None:
        if not isinstance(weights, PlacedModel):  # a model that is there, to stay where it is
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
        from .view.cell import table_html

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
        try:
            total = inventory(self.model)["total"]
        except WeightsLostError:
            return {}
        return {"weights": f"{total['weights']:,}", "size of weights": format_memory(total["bytes"])}

    @property
    def model(self) -> EsmForProteinFolding:
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
        planned = planned_model(self.checkpoint, self.precision.resolve(self.device))
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
        inputs = [self._input(parse_given(given, **letters)) for given in list_sequences(sequences)]
        if not inputs:
            return []
        longest, windows = self._stem_windows(inputs)
        states, done, total = [], 0, sum(len(given.aatype) for given in inputs)
        for window in windows:
            residues = sum(len(given.aatype) for given in window)
            told = None if progress is None else partial(_told, progress, done / total, residues / total)
            with self._limited():
                found = initial_sequence_states(self.model, window, self._weights.residency, told, longest)
            states += [state.float().cpu() for state in found]
            done += residues
        return states

    def _stem_windows(self, inputs: Sequence[FoldInput]) -> tuple[int, list[list[FoldInput]]]:
        """Residues that are computed together, and the records for which each layer comes once: as many as have room
        for their states beside the longest; all of them where the system does not say what room there is."""
        if self._budget is None:
            return GROUP_RESIDUES, [list(inputs)]
        longest = max(inputs, key=lambda given: len(given.aatype))
        length = len(longest.aatype)
        self._keep_within_budget([longest])
        state_bytes = 2 * 4 * self.model.config.hidden_size  # of a residue: in a layer, and the mixed ones so far
        if self._budget.is_ample(length):
            return GROUP_RESIDUES, packed(inputs, lambda given: len(given.aatype), AMPLE_BYTES // state_bytes)
        room = length + self._budget.spare_bytes(self.placement) // state_bytes
        return length, packed(inputs, lambda given: len(given.aatype), room)

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
        RunOptions(num_recycles=num_recycles, chunk_size=chunk_size, recycle_tolerance=recycle_tolerance)  # checks them
        given = list_sequences(sequences)
        if not given:
            return []
        records = self._records(given, allow_nucleotide_letters)
        _warn_of_replaced(given, records)
        inputs = [self._input(record) for record in records]
        _check_states(states, records)
        self._keep_within_budget(inputs)
        with self._limited():
            outputs = fold_batch(
                self.model,
                inputs,
                states=None if states is None else [state.to(self.device) for state in states],
                weights=self._weights.residency,
                num_recycles=num_recycles,
                recycle_tolerance=recycle_tolerance,
                tiling=Tiling.for_device(self.device, chunk_size),
                storage=PairStorage(DTYPES[self.precision.pair], DTYPES[self.precision.operand or self.precision.pair]),
                keep_pae=pae,
                keep_distogram=distogram,
                progress=progress,
                phase=phase,
            )
            return [self._prediction(*parts) for parts in zip(records, inputs, outputs, strict=True)]

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

    def _keep_within_budget(self, inputs: Sequence[FoldInput]) -> None:
        """Another placement if the budget wants it. Pair states lie side by side, as one of all their pairs would."""
        if self._budget is None:
            return
        length = math.isqrt(sum(len(given.aatype) ** 2 for given in inputs) - 1) + 1
        wanted = self._budget.placement(length, self.placement)
        if wanted != self.placement:
            _log.info("%d residues do not fit %s: the weights are %s from now on", length, self.placement, wanted)
            self.place(wanted)

    def _input(self, record: Record) -> FoldInput:
        tokens = tokenize(record.chains)
        aatype, residue_index = (torch.from_numpy(t).to(self.device) for t in (tokens.aatype, tokens.residue_index))
        return FoldInput(aatype, residue_index, tokens.chain_index)

    def _prediction(self, record: Record, given: FoldInput, output: FoldOutput) -> Prediction:
        real = given.chain_index >= 0
        tm = output.aligned.tm_by_chain.cpu().double().numpy()
        atom_plddt = 100 * output.plddt.float().cpu().numpy()[real]
        pae, logits = output.aligned.pae, output.distogram_logits
        return Prediction(
            id=record.id,
            chains=record.chains,
            positions=self._positions(given, output)[real],
            atom_mask=existing_atoms("".join(record.chains)),
            plddt=atom_plddt[:, 1],
            atom_plddt=atom_plddt,
            ptm=ptm(tm),
            iptm=interface_ptm(tm, record.chains),
            pae=None if pae is None else pae.float().cpu().numpy(),
            num_passes=output.num_passes,
            max_pae=max_aligned_error(self.model.ptm_head.out_features),
            chain_pair_iptm=chain_pair_iptm(tm, record.chains),
            distogram_logits=None if logits is None else logits.float().cpu().numpy()[real][:, real],
        )

    def _positions(self, given: FoldInput, output: FoldOutput) -> np.ndarray:
        """Atoms (L, 37, 3). An unknown residue, which has none in the model's tables, is built as alanine, of which
        N, CA, C and O are kept."""
        from transformers.models.esm.openfold_utils import atom14_to_atom37, make_atom14_masks

        aatype = given.aatype.masked_fill(given.aatype == UNKNOWN, RESIDUE_ORDER["A"])
        structure = output.structure
        module = self.model.trunk.structure_module
        atom14 = atom14_positions(module, structure.frames, structure.angles, aatype).cpu()
        atom37 = atom14_to_atom37(atom14, make_atom14_masks({"aatype": aatype.cpu()}))
        unknown = (given.aatype == UNKNOWN).cpu()
        atom37[unknown] *= torch.from_numpy(existing_atoms("X")[0])[:, None]
        return atom37.float().numpy()


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
