"""The forward pass of ESMFold, from residue types to structure and confidence, in the memory of one pair tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensor

from ..errors import InputError
from ..pair.storage import PairStorage
from ..pair.tiles import Tiling, tiles
from ..sequences.packing import packed
from . import heads
from .stem import mixed_states
from .structure import Structure, predict_structure
from .trunk import initial_pair_state, recycle_pair_state, run_block

__all__ = ["Fold", "FoldInput", "FoldOutput", "Weights", "fold_batch", "initial_sequence_states", "one_pass"]

GROUP_RESIDUES = 1024
"""Residues that the stem computes at once: its products gain nothing from more, and each takes 40 kB in ESM-2 3B."""


@dataclass(frozen=True)
class FoldInput:
    """One record: residue types (L,) in AlphaFold's order and residue numbers (L,), on the model's device; the chain of
    each residue (L,), -1 on a linker."""

    aatype: Tensor
    residue_index: Tensor
    chain_index: np.ndarray

    def __len__(self) -> int:
        return len(self.aatype)


@dataclass(frozen=True)
class FoldOutput:
    """What one record's fold gives.

    structure: of all L residues, linkers included.
    plddt: (L, 37) expected lDDT of each atom, 0 to 1.
    aligned: aligned error of the R residues that are no linker.
    num_passes: how often the trunk ran.
    pair_state, distogram_logits: only if asked for; the pair state in the dtype that it was stored in.
    """

    structure: Structure
    plddt: Tensor
    aligned: heads.AlignedError
    num_passes: int
    pair_state: Tensor | None = None
    distogram_logits: Tensor | None = None


class Weights(Protocol):
    """What brings the layers of the stem and the blocks of the trunk: see `residency`. Each begins a phase."""

    def stem(self) -> Iterable[nn.Module]: ...

    def trunk(self) -> Iterable[nn.Module]: ...


@torch.no_grad()
def fold_batch(
    model: nn.Module,
    records: Sequence[FoldInput],
    *,
    states: Sequence[Tensor] | None = None,
    weights: Weights | None = None,
    num_recycles: int = 3,
    recycle_tolerance: float | None = None,
    tiling: Tiling | None = None,
    storage: PairStorage | None = None,
    keep_pae: bool = True,
    keep_pair_state: bool = False,
    keep_distogram: bool = False,
    progress: Callable[[float], None] | None = None,
    phase: Callable[[str], None] | None = None,
) -> list[FoldOutput]:
    """Folds records side by side; each result equals that of folding it alone.

    model: a Hugging Face `EsmForProteinFolding`; its modules are read, its forward pass is not run.
    states: what `initial_sequence_states` gives for the records, if the stem has run already.
    weights: by default the layers are there.
    num_recycles: further passes after the first.
    recycle_tolerance: a record stops recycling when the root mean square change of its CA distances between two passes
        falls below this, in Angstrom (ColabFold's `recycle-early-stop-tolerance`).
    storage: what pair state and triangle operand are stored in; by default float32.
    progress: called after each block with the part of all blocks of all passes that is done.
    phase: called with "stem", "trunk", "structure" or "heads" where each begins: trunk and structure in every pass.

    Raises `InputError` where a pair state stored in float16 leaves its range.
    """
    tiling, storage = tiling or Tiling.for_device(records[0].aatype.device), storage or PairStorage()
    begins = phase or _silent
    if states is None:
        begins("stem")
        states = initial_sequence_states(model, records, weights)
    folds = [Fold(record, state, storage) for record, state in zip(records, states, strict=True)]
    blocks = None if weights is None else weights.trunk()
    for number in range(num_recycles + 1):
        active = [fold for fold in folds if not fold.converged]
        if not active:
            break
        told = _within(progress, number, num_recycles + 1)
        begins("trunk")
        one_pass(model.trunk, active, tiling, recycle_tolerance, told, blocks, begins)
    begins("heads")
    outputs = []
    for fold in folds:
        outputs.append(_confidence(model, fold, tiling, keep_pae, keep_pair_state, keep_distogram))
        del fold.z  # the pair state of a record ends with its confidence
    return outputs


def _silent(phase: str) -> None:
    """Tells nobody."""


def _within(progress: Callable[[float], None] | None, number: int, passes: int) -> Callable[[float], None] | None:
    """Tells the part of all passes that is done, given the part of the pass with this number."""
    return None if progress is None else lambda part: progress((number + part) / passes)


@torch.no_grad()
def initial_sequence_states(
    model: nn.Module,
    records: Sequence[FoldInput],
    weights: Weights | None = None,
    progress: Callable[[float], None] | None = None,
    group_residues: int = GROUP_RESIDUES,
) -> list[Tensor]:
    """Sequence state (L, C_s) of each record before the trunk: the stem's mixed states, projected.

    Each layer of the stem is visited once, for all records. progress: called after each with the part that is done.
    group_residues: of neighbours that are computed together; a longer record is computed alone.
    """
    groups = packed([record.aatype for record in records], len, group_residues)
    mixed = mixed_states(model, groups, None if weights is None else weights.stem(), progress)
    return [state for parts in zip(mixed, groups, strict=True) for state in _projected(model, *parts)]


def _projected(model: nn.Module, mixed: Tensor, aatypes: Sequence[Tensor]) -> list[Tensor]:
    s = model.esm_s_mlp(mixed)
    if model.config.esmfold_config.embed_aa:
        s += model.embedding(torch.cat(list(aatypes)))
    return list(s.split([len(aatype) for aatype in aatypes]))


@dataclass
class Fold:
    """One record on its way through the passes: `s` and `z` are its sequence and pair state, from the first one on."""

    record: FoldInput
    initial: Tensor
    storage: PairStorage
    s: Tensor = field(init=False)
    z: Tensor = field(init=False)
    structure: Structure | None = None
    num_passes: int = 0
    converged: bool = False

    def start_pass(self, trunk: nn.Module, tiling: Tiling) -> Tensor:
        """Makes the pair state the pass begins with; returns its sequence state (L, C_s)."""
        if self.structure is None:
            self.z = initial_pair_state(trunk, self.record.residue_index, tiling, self.storage.state)
            return self.initial + trunk.recycle_s_norm.bias
        recycle_pair_state(trunk, self.z, self.structure.positions[:, :3], self.record.residue_index, tiling)
        return self.initial + trunk.recycle_s_norm(self.s)

    def end_pass(self, trunk: nn.Module, s: Tensor, tiling: Tiling, tolerance: float | None) -> None:
        before = self.structure
        self.s, self.num_passes = s, self.num_passes + 1
        self.structure = predict_structure(trunk, s, self.z, self.record.aatype, tiling)
        _check_range(self.z, self.structure)
        if tolerance is not None and before is not None:
            change = distance_change(before.frames[:, 4:], self.structure.frames[:, 4:], tiling)
            self.converged = bool(change < tolerance)


def one_pass(
    trunk: nn.Module,
    folds: Sequence[Fold],
    tiling: Tiling,
    tolerance: float | None = None,
    progress: Callable[[float], None] | None = None,
    blocks: Iterable[nn.Module] | None = None,
    phase: Callable[[str], None] = _silent,
) -> None:
    """One pass through the trunk for records side by side; changes their states. blocks: those of the trunk as they
    come; by default as they are there. phase: called where the structure begins."""
    s = torch.cat([fold.start_pass(trunk, tiling) for fold in folds])
    pairs, operand = [fold.z for fold in folds], folds[0].storage.operand
    for number, block in enumerate(trunk.blocks if blocks is None else blocks, start=1):
        s = run_block(block, s, pairs, tiling, operand)
        if progress is not None:
            progress(number / len(trunk.blocks))
    phase("structure")
    for fold, state in zip(folds, s.split([len(z) for z in pairs]), strict=True):
        fold.end_pass(trunk, state, tiling, tolerance)


def _check_range(z: Tensor, structure: Structure) -> None:
    """Refuses a pair state that has left float16's range. Infinities once stored reach the structure, at the latest as
    the NaN of the next norm's row, so that L numbers tell of L x L x C.

    They are not clamped to the largest number instead: that would change a prediction without a word, in just those
    pairs that stand out.
    """
    if z.dtype != torch.float16 or isinstance(z, FakeTensor):  # a fake tensor has no values
        return
    if not structure.state.isfinite().all():
        raise InputError(
            f"the pair state of a record of {len(z)} residues does not fit float16, which ends at 65504;"
            " store it in bfloat16 or float32"
        )


def distance_change(before: Tensor, after: Tensor, tiling: Tiling) -> Tensor:
    """Root mean square difference, in Angstrom, of the distances within two sets of points (L, 3)."""
    total = before.new_zeros(())
    for rows in tiles(len(before), tiling.height(len(before), 3)):
        # Not by a matrix product, whose rounding would pass for a change of some hundredths of an Angstrom.
        distances = (torch.cdist(p[rows], p, compute_mode="donot_use_mm_for_euclid_dist") for p in (before, after))
        total += (next(distances) - next(distances)).pow_(2).sum()
    return (total / len(before) ** 2).sqrt()


def _confidence(
    model: nn.Module, fold: Fold, tiling: Tiling, keep_pae: bool, keep_pair_state: bool, keep_distogram: bool
) -> FoldOutput:
    z, structure = fold.z, fold.structure
    assert structure is not None  # at least one pass has run
    return FoldOutput(
        structure=structure,
        plddt=heads.plddt(model.lddt_head, structure.state, model.lddt_bins),
        aligned=heads.aligned_error(model.ptm_head, z, fold.record.chain_index, tiling, keep_pae=keep_pae),
        num_passes=fold.num_passes,
        pair_state=z if keep_pair_state else None,
        distogram_logits=heads.distogram_logits(model.distogram_head, z, tiling) if keep_distogram else None,
    )
