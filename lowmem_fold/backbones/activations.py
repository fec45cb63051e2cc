"""Most bytes that a batch takes besides the weights: stock's own code, run on tensors without bytes.

The model is a skeleton in which one layer stands for all that hold and do the same. What is assumed is what
`lowmem_fold.esmfold.skeleton` assumes; and that the batch is padded, so that there is a mask.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..checkpoints.architecture import architecture_of
from ..memory.ledger import Ledger
from ..residency import Residency
from .passes import head_logits, run_layers

__all__ = ["Activations"]


class Activations:
    """Plans for one model.

    planned: as `planned_model` makes it, with the attention that is meant; it is cut down to a skeleton.
    """

    def __init__(self, planned: nn.Module) -> None:
        self._model = _skeleton(planned.to("meta"))
        self.peak_bytes = cache(self._peak_bytes)

    def _peak_bytes(self, batch: int, tokens: int, logits: bool) -> int:
        """Of `batch` sequences of `tokens` tokens each, through all layers, or to the logits."""
        with torch.device("meta"):
            ids, mask = torch.zeros(batch, tokens, dtype=torch.long), torch.ones(batch, tokens, dtype=torch.long)
        layers = Residency.of(self._model).stem()
        with _Kernels(), Ledger() as ledger:
            if logits:
                head_logits(self._model, layers, ids, mask)
            else:
                depth = len(architecture_of(self._model).stacks(self._model)[0])
                run_layers(self._model, layers, ids, mask, {depth}, lambda number, states: None)
        return ledger.peak_bytes + ids.nbytes + mask.nbytes


def _skeleton(model: nn.Module) -> nn.Module:
    """With the first layer, and of the others one of each kind: it runs in what the first has left."""
    parent, _, name = architecture_of(model).stem.rpartition(".")
    layers = model.get_submodule(architecture_of(model).stem)
    kinds = {_kind(layer): layer for layer in layers[1:]}
    setattr(model.get_submodule(parent), name, nn.ModuleList([layers[0], *kinds.values()]))
    return model


def _kind(layer: nn.Module) -> tuple:
    return str(layer), *(parameter.dtype for parameter in layer.parameters())


class _Kernels(TorchFunctionMode):
    """The kernel that devices have for attention; and that a mask, whose values are not there, masks something."""

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if func is Tensor.all and args[0].is_meta:
            return False
        if func is F.scaled_dot_product_attention:
            return _attention(*args, **kwargs)
        return func(*args, **kwargs)


def _attention(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, **options: Any) -> Tensor:
    """As `F.scaled_dot_product_attention`, which makes numbers of a mask of truth values first."""
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        attn_mask = torch.zeros_like(attn_mask, dtype=query.dtype).masked_fill_(attn_mask.logical_not(), -torch.inf)
    scale = options.get("scale")
    flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    return flash(query, key, value, attn_mask=attn_mask, scale=scale)[0]
