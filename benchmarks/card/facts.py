"""The card: its context, and the speeds that other numbers stand beside."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from lowmem_fold.bench.meters import free_before_context
from lowmem_fold.bench.records import Measurement

from .card import Card, Findings

LAUNCHES = 2000
COPIED_BYTES = 2**30


def run(card: Card) -> Iterator[Measurement]:
    yield card.measured("card-facts", {"what": "context"}, partial(_context, card))
    side = 256 if card.quick else 4096 if card.is_cuda else 1024
    a = torch.randn(side, side, device=card.device)
    b = torch.empty_like(a)
    copied = {"what": "copy", "moved_bytes": 2 * a.nbytes}
    yield card.measured("card-facts", copied, lambda found: found.add(seconds=card.seconds(lambda: b.copy_(a))))
    for name, dtype, tf32 in (
        ("float32", torch.float32, False),
        ("tf32", torch.float32, True),
        ("float16", torch.float16, False),
        ("bfloat16", torch.bfloat16, False),
    ):
        asked = {"what": "product", "dtype": name, "operations": 2 * side**3}
        yield card.measured("card-facts", asked, partial(_product, card, a.to(dtype), tf32))
    yield card.measured("card-facts", {"what": "pinned copy", "moved_bytes": COPIED_BYTES}, partial(_pinned, card))
    yield card.measured("card-facts", {"what": "launch", "launches": LAUNCHES}, partial(_launch, card))


def _context(card: Card, found: Findings) -> None:
    """Bytes of the context, and of what the first matrix product loads beside the allocator."""
    card.require_cuda("a context")
    free_before = free_before_context(str(card.device))
    torch.zeros(1, device=card.device)
    card.synchronize()
    free, total = torch.cuda.mem_get_info()
    properties = torch.cuda.get_device_properties(card.device)
    found.add(total_bytes=total, free_bytes=free, reserved_bytes=torch.cuda.memory_reserved())
    if free_before is not None:
        found.add(free_before_context_bytes=free_before)
    a = torch.randn(1024, 1024, device=card.device)
    before = torch.cuda.memory_allocated()
    result = a @ a
    card.synchronize()
    # What is left beside the result is the workspace that cuBLAS asks torch's allocator for.
    found.add(product_workspace_bytes=torch.cuda.memory_allocated() - before - result.nbytes)
    found.add(free_after_product_bytes=torch.cuda.mem_get_info()[0], reserved_after_product_bytes=_reserved())
    found.resolved |= {
        "multiprocessors": properties.multi_processor_count,
        "l2_bytes": getattr(properties, "L2_cache_size", None),
        "float32_precision": torch.get_float32_matmul_precision(),
        "allocator": os.environ.get("PYTORCH_ALLOC_CONF") or os.environ.get("PYTORCH_CUDA_ALLOC_CONF"),
        "tf32_override": os.environ.get("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"),
    }


def _reserved() -> int:
    return int(torch.cuda.memory_reserved())


def _product(card: Card, a: Tensor, tf32: bool, found: Findings) -> None:
    if tf32:
        card.require_cuda("TF32")
    with allowing_tf32(tf32):
        found.add(seconds=card.seconds(lambda: a @ a))


class allowing_tf32:
    """Whether float32 products may be rounded to TF32 within the block."""

    def __init__(self, allowed: bool) -> None:
        self._allowed = allowed

    def __enter__(self) -> None:
        self._before = torch.backends.cuda.matmul.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = self._allowed

    def __exit__(self, *_: object) -> None:
        torch.backends.cuda.matmul.allow_tf32 = self._before


def _pinned(card: Card, found: Findings) -> None:
    card.require_cuda("a copy from pinned memory")
    waiting = torch.empty(COPIED_BYTES, dtype=torch.uint8, pin_memory=True)
    there = torch.empty(COPIED_BYTES, dtype=torch.uint8, device=card.device)
    found.add(seconds=card.seconds(lambda: there.copy_(waiting, non_blocking=True)))


def _launch(card: Card, found: Findings) -> None:
    """Seconds in which the host starts many small operations, and in which the device is done with them."""
    few = torch.zeros(8, device=card.device)
    _repeat(lambda: few.add_(1), 100)
    card.synchronize()
    start = time.perf_counter()
    _repeat(lambda: few.add_(1), LAUNCHES)
    found.add(host_seconds=time.perf_counter() - start)
    card.synchronize()
    found.add(seconds=time.perf_counter() - start)


def _repeat(call: Callable[[], object], times: int) -> None:
    for _ in range(times):
        call()
