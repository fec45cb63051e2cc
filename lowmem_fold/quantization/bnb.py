"""The adapter of bitsandbytes: int8 and nf4 weights, and its unpacking of nf4."""

from __future__ import annotations

import functools
import logging
import warnings
from collections.abc import Callable
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["PACKAGE", "backend", "nf4_kernel", "quantize"]

PACKAGE = "bitsandbytes"


def backend() -> ModuleType:
    """The package; raises `ImportError` where it is not installed."""
    logger = logging.getLogger("bitsandbytes")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it warns of optional kernels that we do not call
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what bitsandbytes and its imports deprecate
            import bitsandbytes
    finally:
        logger.setLevel(level)
    return bitsandbytes


def quantize(weight: Tensor, format: str) -> dict[str, Tensor]:
    """The stored tensors of `weight` (out, in) float32."""
    return _int8(weight) if format == "bnb-int8" else _nf4(weight)


def _int8(weight: Tensor) -> dict[str, Tensor]:
    """From values rounded to float16, as `Int8Params` has it."""
    data, absmax, _ = backend().functional.int8_vectorwise_quant(weight.half())
    return {"data": data, "absmax": absmax}


def _nf4(weight: Tensor) -> dict[str, Tensor]:
    blocks = F.pad(weight.flatten(), (0, -weight.numel() % 64))
    data, state = backend().functional.quantize_4bit(blocks, blocksize=64, compress_statistics=False, quant_type="nf4")
    return {"data": data.view(-1, 32), "absmax": state.absmax.view(-1, 1), "codebook": state.code}


def nf4_kernel(device: str, in_features: int) -> Callable[..., Tensor] | None:
    """bitsandbytes' own unpacking of nf4 where it is compiled, installed and known to be faster: on a CPU.

    Takes data, absmax, block size, "nf4", shape and dtype. It gives the same values as plain torch, but not where a
    block of 64 goes on into the next row: there bitsandbytes 0.50.2 takes the wrong magnitude.
    """
    return _cpu_kernel() if device == "cpu" and in_features % 64 == 0 else None


@functools.cache
def _cpu_kernel() -> Callable[..., Tensor] | None:
    try:
        backend()
    except (ImportError, OSError, RuntimeError):
        return None
    compiled = torch._C._dispatch_has_kernel_for_dispatch_key("bitsandbytes::dequantize_4bit", "CPU")
    return torch.ops.bitsandbytes.dequantize_4bit.default if compiled else None
