"""Loading a language model."""

from __future__ import annotations

from pathlib import Path

import torch

from ..precision import Precision
from .backbone import Backbone

__all__ = ["load_backbone"]


def load_backbone(
    model: str | Path,
    precision: str | Precision | None = None,
    memory: str | int | None = None,
    device: str | torch.device = "auto",
    placement: str | None = None,
    attention: str = "auto",
) -> Backbone:
    """A language model, ready to run.

    Parameters
    ----------
    model : str or Path
        A hub id, or a local folder in Hugging Face layout or written by `lowmem-fold quantize`.
    precision : str or Precision, optional
        What its layers are stored in: fp32, fp16, bf16, int8, int4, float8, bnb-int8, bnb-nf4. By default that of a
        quantized folder, else fp32.
    memory : str or int, optional
        What weights and activations may take on the device: the placement is chosen for it.
    device : str or torch.device
    placement : str, optional
        `resident` or `streamed`; by default the first of these that fits.
    attention : str
        `sdpa`, `eager`, or `auto`: the best that the family has.

    Raises
    ------
    ModelError
        If the model cannot be had, is of no known family, or is not what its configuration says.
    InputError
        If the device is not there, or precision, placement or attention cannot be had, or nothing fits.
    """
    raise NotImplementedError
