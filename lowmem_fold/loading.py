"""Loading a model that folds: which precision, which placement, under which budget."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch

from .checkpoints.checkpoint import Checkpoint
from .checkpoints.inventory import inventory
from .checkpoints.loader import planned_model
from .errors import InputError
from .families.interface import FoldingFamily
from .families.registry import DEFAULT_MODEL, find_folding_model
from .folder import Folder
from .memory.budget import parse_memory
from .memory.capacity import usable_bytes
from .memory.exhaustion import release_memory
from .planning.budget import Budget
from .planning.plan import Planner
from .precision import PARTS, Precision
from .quantization.registry import unavailable
from .residency import PLACEMENTS, Residency, load_placed
from .residency.placed_model import PlacedModel
from .system.devices import find_device

__all__ = ["choose_precision", "load"]

SHORT = 128
"""Residues for which a placement is chosen where no length is given."""


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
        If the model is not available, or is not what its configuration says.
    InputError
        If the device is not there, or it or the model does not support the precision or the placement, or nothing fits.
    """
    target = find_device(device)
    checkpoint, family, asked, resolved = choose_precision(model, precision, target)
    if placement is not None and placement not in PLACEMENTS:
        raise InputError(f"unknown placement {placement!r}; choose from: {', '.join(PLACEMENTS)}")
    host_bytes = None if host_memory is None else parse_memory(host_memory)
    release_memory()  # what a model before this one has left in the allocator's cache is free for this one
    budget = _budget(family, checkpoint, asked, resolved, target, placement, memory, host_memory)
    placement = (placement or PLACEMENTS[0]) if budget is None else budget.placement(length or SHORT)

    def loaded(name: str) -> tuple[Any, Residency]:
        return load_placed(checkpoint, resolved, target, name, family.architecture, host_bytes)

    with nullcontext() if budget is None else budget.enforced():
        weights = PlacedModel(checkpoint.name, loaded, placement)
    return Folder(weights, checkpoint, asked, budget, family)


def _budget(
    family: FoldingFamily,
    checkpoint: Checkpoint,
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
        return Planner(given, checkpoint.name, asked, str(device), placement, host_memory, num_recycles=3)

    def weight_bytes() -> int:
        return int(inventory(planned_model(checkpoint, resolved, family.architecture))["total"]["bytes"])

    return Budget(size, device, planner, weight_bytes, family.pair_bytes, placement, int(held))


def choose_precision(
    model: str, precision: str | Precision | None, device: torch.device
) -> tuple[Checkpoint, FoldingFamily, Precision, Precision]:
    """The model on disk, its family, the precision that `load` would take, and what becomes of it on the device; errors
    as `load`."""
    checkpoint, family = find_folding_model(str(model))
    asked = checkpoint.asked_precision(precision)
    resolved = asked.resolve(device)
    if checkpoint.policy() is None:
        _check_available(resolved, device)
    return checkpoint, family, asked, resolved


def _check_available(precision: Precision, device: torch.device) -> None:
    for weights in dict.fromkeys(precision.part(name).weights for name in PARTS):
        if reason := unavailable(weights, device):
            raise InputError(f"precision {weights}: {reason}")
