"""Compare a block of the trunk at ESMFold v1's width with stock's: numbers (also against float64), time, memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial

import torch
from torch import Tensor, nn

from lowmem_fold.bench.fidelity import difference
from lowmem_fold.bench.models import random_model
from lowmem_fold.bench.records import Measurement
from lowmem_fold.esmfold.peaks import pair_tensor_bytes
from lowmem_fold.esmfold.published import esmfold_v1_config
from lowmem_fold.esmfold.trunk import run_block
from lowmem_fold.memory.meters import peak_meter
from lowmem_fold.pair.tiles import Tiling

from .card import Card, Findings
from .facts import allowing_tf32

LENGTHS = (1, 33, 129, 256, 512, 1024, 2048)
STOCK_LONGEST, FLOAT64_LONGEST = 1024, 256
OURS, STOCK = "lowmem_fold", "stock, chunk_size 64"


@torch.no_grad()
def run(card: Card) -> Iterator[Measurement]:
    for length in card.lengths(*LENGTHS):
        yield card.measured("card-block-fidelity", {"length": length}, partial(_compare, card, length))
    for length in card.lengths(*LENGTHS):
        for code in (OURS, STOCK) if length <= STOCK_LONGEST else (OURS,):
            asked = {"length": length, "code": code}
            unit = pair_tensor_bytes(length)
            yield card.measured("card-block", asked, partial(_time, card, length, code), pair_tensor_bytes=unit)


@cache
def full_width_block(device: torch.device) -> nn.Module:
    """One block of random weights."""
    return random_model(esmfold_v1_config(1, 1)).trunk.blocks[0].to(device)


def random_states(length: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Sequence state (L, 1024) and pair state (L, L, 128)."""
    generator = torch.Generator().manual_seed(length)
    s, z = torch.randn(length, 1024, generator=generator), torch.randn(length, length, 128, generator=generator)
    return s.to(device), z.to(device).mul_(2)


def _stock(block: nn.Module, s: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    mask = torch.ones(1, len(s), device=s.device)
    s, z = block(s[None], z[None], mask=mask, chunk_size=64)
    return s[0], z[0]


def _ours(block: nn.Module, s: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    z = z.clone()
    return run_block(block, s, [z], Tiling.for_device(s.device)), z


def _compare(card: Card, length: int, found: Findings) -> None:
    """Largest differences over the largest value; from float64, where that fits, also those of stock in TF32."""
    block, (s, z) = full_width_block(card.device), random_states(length, card.device)
    s1, z1 = _ours(block, s, z)
    found.resolved["finite"] = bool(z1.isfinite().all()) and bool(s1.isfinite().all())
    if length > STOCK_LONGEST:
        return
    s2, z2 = _stock(block, s, z)
    found.add(pair_from_stock=difference(z1, z2), sequence_from_stock=difference(s1, s2))
    if length > FLOAT64_LONGEST:
        return
    _, exact = _ours(block.double(), s.double(), z.double())
    block.float()
    found.add(pair_from_float64=difference(z1.double(), exact), stock_from_float64=difference(z2.double(), exact))
    if card.is_cuda:
        with allowing_tf32(True):
            found.add(stock_in_tf32_from_float64=difference(_stock(block, s, z)[1].double(), exact))


def _time(card: Card, length: int, code: str, found: Findings) -> None:
    block, (s, z) = full_width_block(card.device), random_states(length, card.device)
    tiling = Tiling.for_device(s.device)
    calls: dict[str, Callable[[], object]] = {
        OURS: lambda: run_block(block, s, [z], tiling),  # in place: the next call has another pair state
        STOCK: lambda: _stock(block, s, z),
    }
    with peak_meter(card.device) as meter:
        calls[code]()
    if card.is_cuda:  # a process's peak says little of one call
        found.resolved["ruler"] = meter.name
        found.add(peak_bytes=(meter.peak_bytes or 0) - (meter.start_bytes or 0))
        found.add(reserved_peak_bytes=torch.cuda.max_memory_reserved())
    found.add(seconds=card.seconds(calls[code], 3 if length > 512 else 7))
