"""Most bytes that each phase of a fold holds besides the weights: the engine's own code, run on tensors without bytes.

The model is a skeleton on the meta device (`planned_model`), in which one layer and one block stand for all of a kind,
and two iterations of the structure module for all: each runs in what the one before has left. The ledger counts what
the operations make, what quantized layers unpack included.

What is assumed, because tensors without values cannot tell it:

- LLM.int8() finds no outliers in its input, and takes the product of float32 that stands in where there is none of
  integers: up to 4 bytes for each number of the layer's input and of 512 rows of its weights too much.
- nf4 is unpacked by plain torch, not by bitsandbytes' kernel: 6 bytes a weight of a block too much.
- float16 pair states are measured as bfloat16 ones: the same bytes.
- Attention is one fused kernel, whose result is as large as on a CPU.
- Kernels take no workspace of their own (`tests/esmfold/test_memory.py` holds that on a CPU).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..checkpoints.checkpoint import Checkpoint
from ..checkpoints.loader import planned_model
from ..memory.fake import drop_cached_constants
from ..memory.ledger import Ledger
from ..pair.storage import PairStorage
from ..pair.tiles import Tiling, sampled_tiles
from ..precision import Part, Precision
from ..quantization.formats import DTYPES
from . import engine
from .modules import ESMFOLD
from .sequence import update_sequence
from .structure import Structure, atom14_positions

__all__ = ["Skeleton"]

_ITERATIONS = 2
_UPDATES = (torch.ops.aten.add_.Tensor, torch.ops.aten.mul_.Tensor)


class Skeleton:
    """A model without bytes, to plan with.

    Parameters
    ----------
    config : mapping
        Of the model, as its `config.json` has it.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config
        self._planned: dict[Precision, nn.Module] = {}
        self._runnable: dict[Precision, nn.Module] = {}
        self._trunks: dict[tuple, tuple[int, int]] = {}

    def planned(self, precision: Precision) -> nn.Module:
        """The model at a precision (resolved for its device) on the meta device. It has one layer and one block, unless
        the policy tells layers apart by their names."""
        if precision not in self._planned:
            config = self._config if _has_globs(precision) else _cut_down(self._config)
            self._planned[precision] = _planned(config, precision)
        return self._planned[precision]

    def activations(
        self, length: int, precision: Precision, tiling: Tiling, num_recycles: int = 3, *, pae: bool = True
    ) -> dict[str, int]:
        """Peak bytes of all tensors but weights in each phase, for one record of `length` residues, linkers included.

        Parameters
        ----------
        length : int
        precision : Precision
            Resolved for the device that is meant.
        tiling : Tiling
            Of that device.
        num_recycles : int
        pae : bool
            Whether the aligned error of all pairs is kept.
        """
        model = self._model(precision)
        record, storage = _record(length), _storage(precision)
        stem = _stem_bytes(model, record)
        # Blocks differ between precisions in their sequence track alone, which is cheap to run by itself.
        base = precision if _has_globs(precision) else replace(precision, stem=Part(), trunk=Part())
        key = (base, length, tiling, min(num_recycles, 1), pae)
        if key not in self._trunks:
            self._trunks[key] = _trunk_bytes(self._model(base), record, storage, tiling, num_recycles, pae)
        trunk, heads = self._trunks[key]
        if precision.trunk != base.trunk:
            trunk = max(trunk, _sequence_bytes(model, record, storage, tiling, num_recycles))
        return {"stem": stem, "trunk": trunk, "heads": heads}

    def _model(self, precision: Precision) -> nn.Module:
        """One to run, which has one layer and one block of each kind."""
        if precision not in self._runnable:
            whole = _planned(self._config, precision) if _has_globs(precision) else self.planned(precision)
            self._runnable[precision] = _prepared(whole)
        return self._runnable[precision]


def _has_globs(precision: Precision) -> bool:
    return bool(precision.include or precision.exclude)


def _cut_down(config: Mapping[str, Any]) -> dict[str, Any]:
    folding = config["esmfold_config"]
    return {
        **config,
        "num_hidden_layers": 1,
        "esmfold_config": {**folding, "trunk": {**folding["trunk"], "num_blocks": 1}},
    }


def _planned(config: Mapping[str, Any], precision: Precision) -> nn.Module:
    with TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(config))
        return planned_model(Checkpoint("a model to plan", Path(folder)), precision, ESMFOLD).to("meta")


def _prepared(model: nn.Module) -> nn.Module:
    model.esm.encoder.layer = _kinds(model.esm.encoder.layer)
    model.trunk.blocks = _kinds(model.trunk.blocks)
    module = model.trunk.structure_module
    module.config.num_blocks = min(module.config.num_blocks, _ITERATIONS)
    return model


def _kinds(layers: nn.ModuleList) -> nn.ModuleList:
    """One layer of each kind: of those that hold and do the same."""
    return nn.ModuleList({_kind(layer): layer for layer in layers}.values())


def _kind(layer: nn.Module) -> tuple:
    return str(layer), *(parameter.dtype for parameter in layer.parameters())


def _record(length: int) -> engine.FoldInput:
    with torch.device("meta"):
        aatype, residue_index = torch.zeros(length, dtype=torch.long), torch.arange(length)
    return engine.FoldInput(aatype, residue_index, np.zeros(length, dtype=np.int64))


def _storage(precision: Precision) -> PairStorage:
    kinds = (precision.pair, precision.operand or precision.pair)
    return PairStorage(*(DTYPES[kind.replace("fp16", "bf16")] for kind in kinds))


@contextmanager
def _counted() -> Iterator[Ledger]:
    drop_cached_constants()  # of runs before, so that each counts its own
    with torch.no_grad(), sampled_tiles(), _FusedAttention(), _WideningLedger() as ledger:
        yield ledger


class _WideningLedger(Ledger):
    """Counts also what an update of a tensor in half precision by one in float32 takes within itself on a CPU: operand
    and result once more in float32."""

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if func in _UPDATES and isinstance(args[1], Tensor) and args[1].dtype.itemsize > args[0].dtype.itemsize:
            self.peak_bytes = max(self.peak_bytes, self.live_bytes + 2 * args[0].numel() * args[1].dtype.itemsize)
        return super().__torch_dispatch__(func, types, args, kwargs)


class _FusedAttention(TorchFunctionMode):
    """Attention by the kernel that devices have: without bytes torch would write it out, L x L weights and all."""

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if func is not F.scaled_dot_product_attention:
            return func(*args, **kwargs)
        return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(*args, **kwargs)[0]


def _stem_bytes(model: nn.Module, record: engine.FoldInput) -> int:
    with _counted() as ledger:
        engine.initial_sequence_states(model, [record])
    return ledger.peak_bytes


def _trunk_bytes(
    model: nn.Module, record: engine.FoldInput, storage: PairStorage, tiling: Tiling, num_recycles: int, pae: bool
) -> tuple[int, int]:
    """Of the passes and of the heads. Of several passes the last stands for all, and needs a structure before it."""
    with torch.device("meta"):  # makes tables that stay with the model, as weights do
        module = model.trunk.structure_module
        atom14_positions(module, torch.zeros(1, 7), torch.zeros(1, 7, 2), torch.zeros(1, dtype=torch.long))
    with _counted() as ledger:
        fold = _started(model, record, storage)
        if num_recycles:
            engine.one_pass(model.trunk, [fold], tiling, blocks=())
        engine.one_pass(model.trunk, [fold], tiling)
        trunk, ledger.peak_bytes = ledger.peak_bytes, ledger.live_bytes
        engine._confidence(model, fold, tiling, pae, False, False)
    return trunk, ledger.peak_bytes


def _started(model: nn.Module, record: engine.FoldInput, storage: PairStorage) -> engine.Fold:
    """With what the stem has left: a sequence state."""
    shape = len(record.aatype), model.config.esmfold_config.trunk.sequence_state_dim
    return engine.Fold(record, torch.empty(shape, device="meta"), storage)


def _sequence_bytes(
    model: nn.Module, record: engine.FoldInput, storage: PairStorage, tiling: Tiling, num_recycles: int
) -> int:
    """Of the blocks' sequence track, in which the pass has its states and, after the first one, a structure."""
    with _counted() as ledger:
        fold = _started(model, record, storage)
        s = fold.start_pass(model.trunk, tiling)
        if num_recycles:
            fold.structure, fold.s = _empty_structure(model, len(s)), torch.empty_like(s)
        ledger.peak_bytes = ledger.live_bytes
        for block in model.trunk.blocks:
            update_sequence(s, [fold.z], block, tiling)
    return ledger.peak_bytes


def _empty_structure(model: nn.Module, length: int) -> Structure:
    width = model.trunk.structure_module.config.sequence_dim
    shapes = (7,), (7, 2), (14, 3), (width,)
    return Structure(*(torch.empty(length, *shape, device="meta") for shape in shapes))
