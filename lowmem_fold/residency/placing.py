"""Loading a model into a placement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from ..checkpoints.architecture import Architecture
from ..checkpoints.checkpoint import Checkpoint
from ..checkpoints.loader import Building
from ..checkpoints.weight_files import WeightFiles
from ..errors import InputError
from ..memory.budget import format_memory
from ..memory.capacity import host_capacity
from ..memory.heap import large_blocks_returned
from ..precision import Precision
from .layers import Layers, Residency, StagedLayers, StreamedLayers
from .moved import MovedLayer
from .placements import held_bytes, refusal, stacks, waits_in_files, weight_layout
from .sources import FileSource, HostSource, Source
from .transport import CpuTransport, DeviceTransport

__all__ = ["load_placed"]


def load_placed(
    checkpoint: Checkpoint,
    precision: Precision,
    device: torch.device,
    placement: str,
    architecture: Architecture,
    host_bytes: int | None = None,
) -> tuple[Any, Residency]:
    """The model for inference, and what brings the weights of its stacks of layers.

    Parameters
    ----------
    precision : Precision
        Resolved for the device.
    placement : str
        One of `PLACEMENTS`.
    host_bytes : int, optional
        Host memory that waiting layers may take, by default what is free. Where they need more, they wait in the file.

    Raises
    ------
    InputError, ModelError
        As `load_model`; and where the model cannot have the placement.
    """
    with large_blocks_returned():
        building = Building(checkpoint, precision, architecture)
        files = building.open()
        if placement == "resident":
            fill = _fill_in_one_piece if device.type == "cuda" else Building.fill
            fill(building, files, device)
            return building.model, Residency.of(building.model)
        return building.model, _moved(building, files, device, placement, host_bytes)


def _fill_in_one_piece(building: Building, files: WeightFiles, device: torch.device) -> None:
    """Give a model its weights, those of each stack of layers in one buffer.

    Torch's allocator for CUDA rounds what it takes from a card to segments of 2 and 20 MiB. By tensors that is 221 MiB
    of ESMFold v1 with its stem in float16, by stacks 20 (`tests/memory/test_reserve.py` replays both).
    """
    building.plan()
    of_stacks = stacks(building.model)
    building.fill(files, device, but=[prefix for stack in of_stacks for prefix, _ in stack])
    for stack in of_stacks:
        sizes = [MovedLayer.of(*each).nbytes for each in stack]
        buffer = torch.empty(sum(sizes), dtype=torch.uint8, device=device)
        for (prefix, module), part in zip(stack, buffer.split(sizes), strict=True):
            building.fill(files, torch.device("cpu"), prefix)
            layer = MovedLayer.of(prefix, module)
            views = layer.views(part)
            for view, tensor in zip(views, layer.tensors(), strict=True):
                view.copy_(tensor)
            layer.give(views)


def _moved(
    building: Building, files: WeightFiles, device: torch.device, placement: str, host_bytes: int | None
) -> Residency:
    """Everything but the stacks is filled; these wait where they can."""
    model = building.model
    building.plan()
    if reason := refusal(model, files, placement, device.type):
        raise InputError(reason)
    needed = held_bytes(weight_layout(model, files), placement, device.type).host
    sources = _sources(building, files, device, needed, host_bytes)
    building.fill(files, device, but=[prefix for stack in stacks(model) for prefix, _ in stack])
    return Residency(*(_layers(source, device, placement) for source in sources))


def _sources(
    building: Building, files: WeightFiles, device: torch.device, needed: int, host_bytes: int | None
) -> list[Source]:
    free = host_capacity().free_bytes if host_bytes is None else host_bytes
    if device.type != "cpu" and (free is None or needed <= free):
        return [_host_source(building, files, device, stack) for stack in stacks(building.model)]
    if not waits_in_files(building.model, files):
        raise InputError(
            f"{format_memory(needed)} of weights have to wait outside the device, and main memory (RAM) has "
            f"{format_memory(free or 0)}; quantized ones can wait in a file instead: write them first (lowmem-fold "
            "quantize), and give that folder as the model"
        )
    return [FileSource([MovedLayer.of(*layer) for layer in stack], files) for stack in stacks(building.model)]


def _host_source(
    building: Building, files: WeightFiles, device: torch.device, stack: Sequence[tuple[str, nn.Module]]
) -> HostSource:
    """A layer at a time: filled on the host, and taken over."""
    source = HostSource(pin=device.type == "cuda")
    for prefix, layer in stack:
        building.fill(files, torch.device("cpu"), prefix)
        source.add(MovedLayer.of(prefix, layer))
    return source


def _layers(source: Source, device: torch.device, placement: str) -> Layers:
    transport = CpuTransport(source) if device.type == "cpu" else DeviceTransport(source, device)
    return StagedLayers(transport) if placement == "staged" else StreamedLayers(transport)
