"""What a loaded model's weights are stored in, and how many bytes they take, by part."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ..quantization.stored import StoredLinear
from .architecture import architecture_of

__all__ = ["inventory", "weight_tensors"]

_NAMES = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}


def weight_tensors(model: nn.Module) -> Iterator[tuple[str, nn.Module, dict[str, Tensor]]]:
    """Each module that holds weights itself: its name, the module, and its tensors by their names in it."""
    for name, module in model.named_modules():
        tensors = dict(module.named_parameters(recurse=False))
        if isinstance(module, StoredLinear):
            tensors |= dict(module.named_buffers(recurse=False))
        if tensors:
            yield name, module, tensors


def inventory(model: nn.Module) -> dict[str, dict[str, Any]]:
    """Bytes, weights, achieved bits per weight, and the weights by their format, for each part and in "total".

    Weights count as in full precision, biases included; what a format adds (scales, codebooks) is in its bytes.
    """
    architecture = architecture_of(model)
    parts = (*architecture.parts, "total")
    found: dict[str, dict[str, Any]] = {part: {"weights": 0, "bytes": 0, "formats": {}} for part in parts}
    for name, module, tensors in weight_tensors(model):
        count, size = _weights(module, tensors), sum(t.nbytes for t in tensors.values())
        kind = module.format if isinstance(module, StoredLinear) else _NAMES[next(iter(tensors.values())).dtype]
        for part in (architecture.part_of(name), "total"):
            found[part]["weights"] += count
            found[part]["bytes"] += size
            formats = found[part]["formats"]
            formats[kind] = formats.get(kind, 0) + count
    for about in found.values():
        about["bits_per_weight"] = round(8 * about["bytes"] / max(1, about["weights"]), 3)
    return found


def _weights(module: nn.Module, tensors: dict[str, Tensor]) -> int:
    if not isinstance(module, StoredLinear):
        return sum(t.numel() for t in tensors.values())
    bias = 0 if module.bias is None else module.out_features
    return int(module.in_features * module.out_features + bias)
