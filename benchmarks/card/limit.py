"""What a fold needs of the allocator beside its tensors: the least limit with which it ends, found by halving."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial

import torch
from torch import nn

from lowmem_fold.bench.models import random_model
from lowmem_fold.bench.records import Measurement
from lowmem_fold.esmfold.engine import fold_batch
from lowmem_fold.esmfold.published import esmfold_v1_config, random_record

from .card import Card, Findings

ENOUGH_BYTES = 4 * 2**20


@torch.no_grad()
def run(card: Card) -> Iterator[Measurement]:
    for length in card.lengths(256, 512, 1000):
        for expandable in (False, True):
            asked = {"length": length, "expandable_segments": expandable}
            yield card.measured("card-limit", asked, partial(_halve, card, length, expandable))


@cache
def _model(device: torch.device) -> nn.Module:
    return random_model(esmfold_v1_config(2, 4)).to(device)


def _halve(card: Card, length: int, expandable: bool, found: Findings) -> None:
    card.require_cuda("a limit of the allocator")
    with _expandable_segments(expandable):
        model, record = _model(card.device), random_record(length, device=str(card.device))
        fold = partial(fold_batch, model, [record], num_recycles=1)
        fold()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        fold()
        card.synchronize()
        stats = torch.cuda.memory_stats()
        allocated, reserved = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
        found.add(allocated_peak_bytes=allocated, reserved_peak_bytes=reserved)
        found.add(requested_peak_bytes=int(stats.get("requested_bytes.all.peak", 0)))
        found.add(least_limit_bytes=_least(card, fold, allocated, reserved))


def _least(card: Card, fold: Callable[[], object], too_little: int, enough: int) -> int:
    total = torch.cuda.get_device_properties(card.device).total_memory
    try:
        while enough - too_little > ENOUGH_BYTES:
            middle = (enough + too_little) // 2
            torch.cuda.empty_cache()
            torch.cuda.set_per_process_memory_fraction(middle / total)
            if _ends(card, fold):
                enough = middle
            else:
                too_little = middle
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    return enough


def _ends(card: Card, fold: Callable[[], object]) -> bool:
    try:
        fold()
        card.synchronize()
    except torch.OutOfMemoryError:
        return False
    return True


@contextmanager
def _expandable_segments(wanted: bool) -> Iterator[None]:
    """Within, the allocator grows its segments instead of keeping many of them, if torch can be told so by now."""
    if not wanted:
        yield
        return
    _model.cache_clear()
    torch.cuda.empty_cache()
    torch.cuda.memory._set_allocator_settings("expandable_segments:True")
    try:
        yield
    finally:
        _model.cache_clear()
        torch.cuda.empty_cache()
        torch.cuda.memory._set_allocator_settings("expandable_segments:False")
