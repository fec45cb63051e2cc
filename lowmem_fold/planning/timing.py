"""Timing calls, and a device's basic rates."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import torch
import torch.nn.functional as F

from ..pair.tiles import Tiling
from ..quantization.formats import FORMATS

__all__ = [
    "MATRIX",
    "ROWS",
    "attention_rate",
    "copy_rate",
    "product_rate",
    "seconds_by_turns",
    "seconds_of",
    "stored_product_calls",
    "triangle_rate",
]

Key = TypeVar("Key")
_REPEATS = 4
_SIDE = 1024
# Residues: what is read again and again is larger than a cache then.
_LONG = 1024
_COPIED_BYTES = 64 * 2**20
# As a matrix of ESMFold's stem: no cache near a core holds it in float32.
MATRIX = (2048, 2560)
ROWS = (32, 160)


def seconds_of(call: Callable[[], Any], device: torch.device) -> float:
    """Seconds that a call takes until the device is done with it."""
    _wait(device)
    start = time.perf_counter()
    result = call()
    _wait(device)
    seconds = time.perf_counter() - start
    del result
    return seconds


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def seconds_by_turns(
    calls: Mapping[Key, Callable[[], Any]], device: torch.device, repeats: int
) -> dict[Key, list[float]]:
    """Of each call, made in turn with the others."""
    turns = [{name: seconds_of(call, device) for name, call in calls.items()} for _ in range(repeats)]
    return {name: [turn[name] for turn in turns] for name in calls}


def product_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Multiply-adds a second of a large matrix product."""
    a, b = (torch.randn(_SIDE, _SIDE, device=device).to(dtype) for _ in range(2))
    return _SIDE**3 / _seconds(lambda: a @ b, device)


def attention_rate(device: torch.device) -> float:
    """Multiply-adds a second of the `scaled_dot_product_attention` of triangle attention in a long protein."""
    heads, width = 4, 32
    rows = Tiling.for_device(device).height(_LONG, 7 * heads * width)
    q, k, v = (torch.randn(rows, heads, _LONG, width, device=device) for _ in range(3))
    bias = torch.randn(1, heads, _LONG, _LONG, device=device)
    seconds = _seconds(lambda: F.scaled_dot_product_attention(q, k, v, attn_mask=bias), device)
    return 2 * rows * heads * _LONG**2 * width / seconds


def triangle_rate(device: torch.device) -> float:
    """Multiply-adds a second of triangle multiplication's products in a long protein, of some of the channels."""
    channels, of_all = 16, 128
    rows = Tiling.for_device(device).height(_LONG, 2 * of_all, product=True)
    block, whole = (torch.randn(channels, n, _LONG, device=device) for n in (rows, _LONG))
    return channels * rows * _LONG**2 / _seconds(lambda: block @ whole.transpose(1, 2), device)


def copy_rate(device: torch.device) -> float:
    """Bytes a second from host memory, pinned for CUDA, to the device; of a CPU from memory to memory."""
    source = torch.ones(_COPIED_BYTES, dtype=torch.uint8)
    if device.type == "cuda":
        source = source.pin_memory()
    target = torch.empty(_COPIED_BYTES, dtype=torch.uint8, device=device)
    return _COPIED_BYTES / _seconds(lambda: target.copy_(source, non_blocking=True), device)


def stored_product_calls(format: str, compute: torch.dtype, device: torch.device) -> dict[int, Callable[[], Any]]:
    """Products of few and of many rows with a matrix MATRIX stored in a format of `FORMATS`, by the rows.

    Few rows are mostly reading and unpacking, many have the arithmetic too. The values of the weights are arbitrary.
    """
    tensors = {
        name: torch.ones(shape, device=device).to(dtype)
        for name, (shape, dtype) in FORMATS[format].tensors(*MATRIX).items()
    }
    inputs = {rows: torch.randn(rows, MATRIX[1], device=device).to(compute) for rows in ROWS}
    return {rows: partial(FORMATS[format].linear, x, tensors, MATRIX[0], None) for rows, x in inputs.items()}


def _seconds(call: Callable[[], Any], device: torch.device) -> float:
    """The least of a few."""
    return min(seconds_of(call, device) for _ in range(_REPEATS))
