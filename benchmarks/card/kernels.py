"""Which kernels a block runs, how many, and how long the device is busy: torch's profiler."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from lowmem_fold.bench.records import Measurement
from lowmem_fold.esmfold.trunk import run_block
from lowmem_fold.pair.tiles import Tiling
from lowmem_fold.quantization.formats import DTYPES

from .block import full_width_block, random_states
from .card import Card, Findings

LISTED = 18
ATTENTION = ("fmha", "flash", "attention", "softmax")


@torch.no_grad()
def run(card: Card) -> Iterator[Measurement]:
    for length in card.lengths(256, 512, 1024):
        for pair in ("fp32", "fp16"):
            asked = {"length": length, "pair": pair}
            yield card.measured("card-kernels", asked, partial(_profile, card, length, DTYPES[pair]))


def _profile(card: Card, length: int, dtype: torch.dtype, found: Findings) -> None:
    block, (s, z) = full_width_block(card.device), random_states(length, card.device)
    z, operand, tiling = z.to(dtype), None if dtype == torch.float32 else dtype, Tiling.for_device(s.device)

    def call() -> None:
        run_block(block, s, [z], tiling, operand)

    found.add(seconds=card.seconds(call, 3))
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if card.is_cuda else [])]
    with profile(activities=activities) as profiled:
        call()
        card.synchronize()
    seconds, count = Counter[str](), Counter[str]()
    for event in profiled.events():
        if _runs_on(event, card):
            name = event.name[:110]
            # A CPU's operators hold each other: what is theirs alone is counted.
            seconds[name] += (event.time_range.elapsed_us() if card.is_cuda else event.self_cpu_time_total) / 1e6
            count[name] += 1
    found.add(busy_seconds=sum(seconds.values()), launches=sum(count.values()))
    listed = seconds.most_common(LISTED)
    found.resolved["kernels"] = [[name, count[name], round(taken, 6)] for name, taken in listed]
    found.resolved["attention_kernels"] = {
        name: count[name] for name in count if any(part in name.lower() for part in ATTENTION)
    }


def _runs_on(event: Any, card: Card) -> bool:
    return str(event.device_type).endswith("CUDA") == card.is_cuda
