"""Which back end makes which format. Computing with a stored format needs none of them."""

from __future__ import annotations

from itertools import starmap
from types import ModuleType

import torch
from torch import Tensor

from ..errors import InputError
from ..system.optional_packages import install_command
from . import bnb, quanto
from .formats import FORMATS, Plain, row_blocks

__all__ = ["quantize", "unavailable"]

# A back end's module has `backend()`, which imports it, `quantize(weight, format)`, and its package's name.
BACKENDS: dict[str, ModuleType] = {
    "int8": quanto,
    "int4": quanto,
    "float8": quanto,
    "bnb-int8": bnb,
    "bnb-nf4": bnb,
}


def unavailable(format: str, device: torch.device) -> str | None:
    """Why `format` cannot be made here for use on `device`, with what to do instead; None if it can."""
    if format == "float8" and device.type == "mps":
        return "float8 does not exist on mps: use int8, or --device cpu"
    backend = BACKENDS.get(format)
    if backend is None:
        return None
    try:
        backend.backend()
    except (ImportError, OSError, RuntimeError) as error:
        return (
            f"{format} is made by {backend.PACKAGE}, which cannot be imported ({error}): "
            f"{install_command(backend.PACKAGE)}"
        )
    return None


def quantize(weight: Tensor, format: str) -> dict[str, Tensor]:
    """The stored tensors of `weight` (out, in) float32 in `format`, on its device: see `Format.tensors`.

    Raises `InputError` where a matrix of this shape cannot be stored so, or the back end is missing.
    """
    stored = FORMATS[format]
    if reason := stored.refusal(*weight.shape) or unavailable(format, weight.device):
        raise InputError(reason)
    if isinstance(stored, Plain):
        return {"data": weight.to(stored.dtype).contiguous()}
    backend = BACKENDS[format]
    with torch.no_grad():  # rows know nothing of one another, and a back end may take ten times its input for itself
        rows = starmap(slice, row_blocks(*weight.shape))
        blocks = [backend.quantize(weight[block].contiguous(), format) for block in rows]
    return blocks[0] if len(blocks) == 1 else stored.joined(blocks)
