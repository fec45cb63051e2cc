"""The placements, which of them a model can have, and the bytes that each holds.

A folding model has two stacks of layers: those of the stem and the blocks of the trunk; a language model has the first
alone, so that staged would be resident. The rest (embeddings, structure module, heads) is 1 % of ESMFold v1 and always
on the device.

| placement | on the device while the stem runs | while the trunk runs |
|---|---|---|
| resident | all | all |
| staged | the stem | the trunk |
| streamed | two layers | two blocks |

What is not on the device waits in host memory, pinned if it can be, or in the file. On a CPU it waits in the file
alone: a tensor that the file holds as it is to be used is read through the mapped file, whose pages the system takes
back when it needs them, and costs nothing; others are converted when they arrive. So

| weights | on a CPU | on a GPU |
|---|---|---|
| fp32, fp16, bf16 | any placement | any placement |
| quantized at loading | resident | any placement (they wait in host memory) |
| a folder of `lowmem-fold quantize` | any placement | any placement |
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from ..checkpoints.architecture import architecture_of
from ..checkpoints.inventory import weight_tensors
from ..quantization.formats import DTYPES
from ..quantization.stored import StoredLinear

__all__ = [
    "PLACEMENTS",
    "Files",
    "Held",
    "WeightLayout",
    "held_bytes",
    "layer_tensors",
    "name_in_files",
    "refusal",
    "stacks",
    "waits_in_files",
    "weight_layout",
]

#: From the fastest to the smallest.
PLACEMENTS = ("resident", "staged", "streamed")


class Files(Protocol):
    """The tensors of a checkpoint by their names: a `WeightFiles`, or what stands in for files that are not here."""

    def __contains__(self, name: object) -> bool: ...

    def get(self, name: str) -> Tensor: ...


@dataclass(frozen=True)
class WeightLayout:
    """Bytes of a model's weights in the form in which they are used.

    Attributes
    ----------
    fixed : int
        Of all that is no layer of a stack.
    stem, trunk : tuple of int
        Of each layer of the stem and each block of the trunk.
    stem_converted, trunk_converted : tuple of int
        The part of these that the file holds in another dtype.
    """

    fixed: int
    stem: tuple[int, ...]
    trunk: tuple[int, ...]
    stem_converted: tuple[int, ...]
    trunk_converted: tuple[int, ...]


@dataclass(frozen=True)
class Held:
    """Bytes of weights on the device in each phase, and in host memory beside it."""

    stem: int
    trunk: int
    host: int


def held_bytes(layout: WeightLayout, placement: str, device_type: str) -> Held:
    """What a placement holds. The host's part is nothing where layers wait in the file instead."""
    total = layout.fixed + sum(layout.stem) + sum(layout.trunk)
    if placement == "resident":
        return Held(total, total, 0)
    on_cpu = device_type == "cpu"
    stem, trunk = (layout.stem_converted, layout.trunk_converted) if on_cpu else (layout.stem, layout.trunk)
    waiting = 0 if on_cpu else total - layout.fixed
    if placement == "staged":
        return Held(layout.fixed + sum(stem), layout.fixed + sum(trunk), waiting)
    return Held(layout.fixed + 2 * max(stem), layout.fixed + 2 * max(trunk, default=0), waiting)


def weight_layout(planned: nn.Module, files: Files) -> WeightLayout:
    """Of a model as `planned_model` makes it.

    files: the checkpoint, or what stands in for it.
    """
    stem, trunk = stacks(planned)
    of_stem, of_trunk = (tuple(_layer_bytes(layer) for _, layer in layers) for layers in (stem, trunk))
    total = sum(tensor.nbytes for _, _, tensors in weight_tensors(planned) for tensor in tensors.values())
    return WeightLayout(
        total - sum(of_stem) - sum(of_trunk),
        of_stem,
        of_trunk,
        tuple(_converted_bytes(name, layer, files) for name, layer in stem),
        tuple(_converted_bytes(name, layer, files) for name, layer in trunk),
    )


def stacks(model: nn.Module) -> tuple[list[tuple[str, nn.Module]], list[tuple[str, nn.Module]]]:
    """Names and modules of the stem's layers and of the trunk's blocks."""
    return architecture_of(model).stacks(model)


def layer_tensors(prefix: str, layer: nn.Module) -> Iterator[tuple[str, str, nn.Module, Tensor]]:
    """Each tensor of a layer's weights: the name of its module in the model, its own name, module, tensor."""
    for name, module, tensors in weight_tensors(layer):
        for key, tensor in tensors.items():
            yield f"{prefix}.{name}" if name else prefix, key, module, tensor


def name_in_files(name: str, key: str, module: nn.Module) -> str:
    """What a checkpoint calls a tensor if it holds it: a plain matrix is a `weight` there."""
    plain = isinstance(module, StoredLinear) and module.format in DTYPES and key == "data"
    return f"{name}.{'weight' if plain else key}"


def refusal(planned: nn.Module, files: Files, placement: str, device_type: str) -> str | None:
    """Why a model cannot have a placement, with what to do; None if it can."""
    if placement == "resident" or device_type != "cpu" or waits_in_files(planned, files):
        return None
    return (
        f"on a CPU, {placement} weights are read as the model's files hold them, and these files are not in this "
        "precision: write them first (lowmem-fold quantize) and give that folder as the model, or place them resident"
    )


def waits_in_files(planned: nn.Module, files: Files) -> bool:
    """Whether the files hold every tensor of the stacks, in this dtype or another."""
    return all(
        name_in_files(name, key, module) in files
        for layers in stacks(planned)
        for prefix, layer in layers
        for name, key, module, _ in layer_tensors(prefix, layer)
    )


def _layer_bytes(layer: nn.Module) -> int:
    return sum(tensor.nbytes for *_, tensor in layer_tensors("", layer))


def _converted_bytes(prefix: str, layer: nn.Module, files: Files) -> int:
    return sum(
        tensor.nbytes
        for name, key, module, tensor in layer_tensors(prefix, layer)
        if _dtype_in_files(name, key, module, files) != tensor.dtype
    )


def _dtype_in_files(name: str, key: str, module: nn.Module, files: Files) -> torch.dtype | None:
    full = name_in_files(name, key, module)
    return files.get(full).dtype if full in files else None
