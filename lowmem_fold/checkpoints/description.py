"""What is said of a model: where it is from, its precision, and its weights by their parts."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ..precision import Precision
from .checkpoint import Checkpoint
from .inventory import inventory

__all__ = ["description"]


def description(model: nn.Module, checkpoint: Checkpoint, precision: Precision, device: torch.device) -> dict[str, Any]:
    """What is said of a model at a precision on a device; `planned_model` will do for `model`. JSON-able."""
    return {
        "model": checkpoint.name,
        "source": str(checkpoint.path),
        "fingerprint": checkpoint.fingerprint(),
        "precision": str(precision),
        "resolved_precision": str(precision.resolve(device)),
        "weights": inventory(model),
        "device": str(device),
    }
