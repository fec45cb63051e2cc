"""Peak live bytes of a fold of any length, ours and stock's, from the real code on fake tensors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from unittest.mock import patch

import numpy as np
import torch

from ..memory.fake import fake_tensors
from ..memory.ledger import Ledger
from ..pair.storage import PairStorage
from ..pair.tiles import Tiling, sampled_tiles
from .engine import FoldInput, fold_batch
from .published import esmfold_v1_config

__all__ = ["FakeESMFold", "pair_tensor_bytes"]


def pair_tensor_bytes(length: int) -> int:
    """1 U: one pair tensor of ESMFold v1 in float32, L x L x 128."""
    return 512 * length**2


class FakeESMFold:
    """ESMFold v1 in its real dimensions without its bytes. Peaks are above the weights, from tokens to output.

    Two layers and two blocks stand for 36 and 48: each runs in what the one before has left.
    """

    def __init__(self) -> None:
        from transformers import EsmForProteinFolding

        with fake_tensors() as self._mode:
            self._model = EsmForProteinFolding(esmfold_v1_config(stem_layers=2, trunk_blocks=2)).eval()
            self._model.requires_grad_(False)
            fold_batch(self._model, [self._record(2)])  # makes tables that stay with the model, as weights do

    def _record(self, length: int, linker: slice = slice(0)) -> FoldInput:
        chain_index = np.zeros(length, dtype=np.int64)
        if linker.stop:
            chain_index[linker], chain_index[linker.stop :] = -1, 1
        return FoldInput(torch.zeros(length, dtype=torch.long), torch.arange(length), chain_index)

    def peak_bytes(
        self,
        length: int,
        *,
        num_recycles: int = 1,
        tiling: Tiling | None = None,
        storage: PairStorage | None = None,
        linker: slice = slice(0),
        all_tiles: bool = False,
    ) -> int:
        """Ours, PAE included. linker: the tokens between two chains, if any. all_tiles: visit every block of rows."""
        with nullcontext() if all_tiles else sampled_tiles(), self._ledger() as ledger:
            record = self._record(length, linker)
            fold_batch(self._model, [record], num_recycles=num_recycles, tiling=tiling, storage=storage)
        return ledger.peak_bytes

    def stock_peak_bytes(self, length: int, chunk_size: int | None, *, num_recycles: int = 1) -> int:
        """Stock's. Its pTM is replaced: `nonzero` has no size on fake tensors."""
        from transformers.models.esm import modeling_esmfold

        self._model.trunk.set_chunk_size(chunk_size)
        with torch.no_grad(), patch.object(modeling_esmfold, "compute_tm", _no_tm), self._ledger() as ledger:
            self._model(torch.zeros(1, length, dtype=torch.long), num_recycles=num_recycles)
        return ledger.peak_bytes

    @contextmanager
    def _ledger(self) -> Iterator[Ledger]:
        with fake_tensors(self._mode), Ledger() as ledger:
            yield ledger


def _no_tm(logits: torch.Tensor, **_: object) -> torch.Tensor:
    return logits.new_zeros(())
