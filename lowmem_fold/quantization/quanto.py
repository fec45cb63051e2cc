"""The adapter of optimum-quanto: int8, int4 and float8, as its `QLinear` quantizes weights."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import torch
from torch import Tensor

from .formats import group_size, packed

__all__ = ["PACKAGE", "backend", "quantize"]

PACKAGE = "optimum-quanto"


def backend() -> ModuleType:
    """The package; raises `ImportError` where it is not installed."""
    with _silencing_imports():
        import optimum.quanto

    return optimum.quanto


@contextmanager
def _silencing_imports() -> Iterator[None]:
    """Silence what the user can do nothing about."""
    # Of torch's compiler of extensions, which optimum-quanto imports and nothing here runs. It warns where torch's CUDA
    # build meets CUDA's compiler but no GPU.
    logger = logging.getLogger("torch.utils.cpp_extension")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what optimum-quanto and its imports deprecate
            yield
    finally:
        logger.setLevel(level)


def quantize(weight: Tensor, format: str) -> dict[str, Tensor]:
    """The stored tensors of `weight` (out, in) float32."""
    return _int4(weight) if format == "int4" else _eight_bits(weight, format)


# Not by `quantize_weight`: what it returns is held by a cycle of references, so that block after block would stay.


def _eight_bits(weight: Tensor, format: str) -> dict[str, Tensor]:
    """One scale a row. A row of zeros gets the scale 1: quanto's is 0, and its float8 values are then not numbers."""
    quanto = backend()
    qtype = {"int8": quanto.qint8, "float8": quanto.qfloat8}[format]
    scale = _nonzero(quanto.AbsmaxOptimizer()(weight, qtype=qtype, axis=0)).view(-1, 1)
    of_rows = (0, scale) if len(scale) > 1 else (None, scale.view(()))
    data = torch.ops.quanto.quantize_symmetric(weight, qtype.dtype, *of_rows)
    return {"data": data, "scale": scale}


def _int4(weight: Tensor) -> dict[str, Tensor]:
    """A scale and a shift per group."""
    quanto = backend()
    size = group_size(weight.shape[1])
    groups = size if size < weight.shape[1] else None
    scale, shift = quanto.MaxOptimizer()(weight, qtype=quanto.qint4, axis=0, group_size=groups)
    scale = _nonzero(scale)
    codes = torch.ops.quanto.quantize_affine(weight, 4, 0, groups, scale, shift)
    return {"data": packed(codes), "scale": scale, "shift": shift}


def _nonzero(scale: Tensor) -> Tensor:
    return torch.where(scale == 0, torch.ones_like(scale), scale)
