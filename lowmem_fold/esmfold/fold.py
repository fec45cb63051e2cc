"""Records in, predictions out: the engine's input, its options and its output in the words of the package."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ..pair.storage import PairStorage
from ..pair.tiles import Tiling
from ..precision import Precision
from ..predictions.confidence import chain_pair_iptm, interface_ptm, ptm
from ..predictions.prediction import Prediction
from ..quantization.formats import DTYPES
from ..residency.layers import Residency
from ..sequences.records import Record
from ..sequences.residues import RESIDUE_ORDER, UNKNOWN, existing_atoms
from .engine import FoldInput, FoldOutput, fold_batch
from .heads import max_aligned_error
from .structure import atom14_positions

__all__ = ["fold_records"]


def fold_records(
    model: nn.Module,
    records: Sequence[Record],
    given: Sequence[FoldInput],
    *,
    residency: Residency,
    precision: Precision,
    states: Sequence[Tensor] | None = None,
    num_recycles: int = 3,
    chunk_size: int | None = None,
    recycle_tolerance: float | None = None,
    pae: bool = True,
    distogram: bool = False,
    progress: Callable[[float], None] | None = None,
    phase: Callable[[str], None] | None = None,
) -> list[Prediction]:
    """The predictions of records that are folded side by side; arguments as of `Folder.fold_batch`."""
    device = given[0].aatype.device
    outputs = fold_batch(
        model,
        given,
        states=None if states is None else [state.to(device) for state in states],
        weights=residency,
        num_recycles=num_recycles,
        recycle_tolerance=recycle_tolerance,
        tiling=Tiling.for_device(device, chunk_size),
        storage=PairStorage(DTYPES[precision.pair], DTYPES[precision.operand or precision.pair]),
        keep_pae=pae,
        keep_distogram=distogram,
        progress=progress,
        phase=phase,
    )
    return [_prediction(model, *parts) for parts in zip(records, given, outputs, strict=True)]


def _prediction(model: nn.Module, record: Record, given: FoldInput, output: FoldOutput) -> Prediction:
    real = given.chain_index >= 0
    tm = output.aligned.tm_by_chain.cpu().double().numpy()
    atom_plddt = 100 * output.plddt.float().cpu().numpy()[real]
    pae, logits = output.aligned.pae, output.distogram_logits
    return Prediction(
        id=record.id,
        chains=record.chains,
        positions=_positions(model, given, output)[real],
        atom_mask=existing_atoms("".join(record.chains)),
        plddt=atom_plddt[:, 1],
        atom_plddt=atom_plddt,
        ptm=ptm(tm),
        iptm=interface_ptm(tm, record.chains),
        pae=None if pae is None else pae.float().cpu().numpy(),
        num_passes=output.num_passes,
        max_pae=max_aligned_error(model.ptm_head.out_features),
        chain_pair_iptm=chain_pair_iptm(tm, record.chains),
        distogram_logits=None if logits is None else logits.float().cpu().numpy()[real][:, real],
    )


def _positions(model: nn.Module, given: FoldInput, output: FoldOutput) -> np.ndarray:
    """Atoms (L, 37, 3). An unknown residue, which has none in the model's tables, is built as alanine, of which
    N, CA, C and O are kept."""
    from transformers.models.esm.openfold_utils import atom14_to_atom37, make_atom14_masks

    aatype = given.aatype.masked_fill(given.aatype == UNKNOWN, RESIDUE_ORDER["A"])
    structure = output.structure
    module = model.trunk.structure_module
    atom14 = atom14_positions(module, structure.frames, structure.angles, aatype).cpu()
    atom37 = atom14_to_atom37(atom14, make_atom14_masks({"aatype": aatype.cpu()}))
    unknown = (given.aatype == UNKNOWN).cpu()
    atom37[unknown] *= torch.from_numpy(existing_atoms("X")[0])[:, None]
    return atom37.float().numpy()
