"""What a budget holds beside tensors on CUDA, by replaying a fold's requests in a simulation of torch's allocator."""

from __future__ import annotations

from functools import cache
from typing import Any
from unittest.mock import patch

import pytest
import torch
from transformers import EsmForProteinFolding

from lowmem_fold.esmfold import peaks
from lowmem_fold.esmfold.published import esmfold_v1_config
from lowmem_fold.memory.ledger import Ledger
from lowmem_fold.memory.limit import CUDA_CONTEXT_BYTES
from lowmem_fold.memory.reserve import CUDA_WORKSPACE_BYTES, reserve_bytes
from lowmem_fold.pair.tiles import Tiling
from tests.memory.caching_allocator import MIB, CachingAllocator, Event, OutOfMemory, least_limit, peak_bytes

LAYERS, BLOCKS = 36, 48


class Recorder(Ledger):
    """Keeps each storage that is made and freed, as events."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Event] = []
        self._numbers: dict[int, int] = {}

    def _count(self, func: Any, tensors: Any, inputs: Any) -> None:
        before = self.live_bytes
        found = list(tensors)
        super()._count(func, found, inputs)
        if self.live_bytes != before:
            for key, size in {t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in found}.items():
                if size and key not in self._numbers:
                    self._numbers[key] = len(self.events) + 1
                    self.events.append((self._numbers[key], size))

    def _forget(self, key: int, size: int, reference: Any) -> None:
        if key in self._numbers:
            self.events.append((self._numbers.pop(key), 0))
        super()._forget(key, size, reference)


@cache
def fake() -> peaks.FakeESMFold:
    return peaks.FakeESMFold()


@cache
def fold_events(length: int) -> list[Event]:
    recorder = Recorder()
    with patch.object(peaks, "Ledger", lambda: recorder):
        fake().peak_bytes(length, tiling=Tiling.for_device(torch.device("cuda")))
    return [(number + 10**6, size) for number, size in recorder.events]


@cache
def weight_sizes() -> tuple[list[int], list[int], list[int]]:
    """Bytes of the tensors of a layer, of a block, and of all else; the stem in float16."""
    with torch.device("meta"):
        model = EsmForProteinFolding(esmfold_v1_config(1, 1))
    layer, block = model.esm.encoder.layer[0], model.trunk.blocks[0]
    known = {id(each) for part in (layer, block) for each in part.parameters()}
    others = [p.numel() * (2 if n.startswith("esm.") else 4) for n, p in model.named_parameters() if id(p) not in known]
    return [2 * p.numel() for p in layer.parameters()], [4 * p.numel() for p in block.parameters()], others


def weights(how: str) -> list[int]:
    layer, block, others = weight_sizes()
    if how == "by tensors":
        return others + LAYERS * layer + BLOCKS * block
    if how == "resident":
        return [*others, LAYERS * sum(layer), BLOCKS * sum(block)]
    return [*others, *2 * [sum(layer)], *2 * [sum(block)]]  # two places of each, streamed


def events(how: str, length: int) -> list[Event]:
    return [*((number + 1, size) for number, size in enumerate(weights(how))), *fold_events(length)]


@pytest.mark.parametrize(
    ("how", "length"),
    [
        ("resident", 200),
        ("streamed", 200),
        *(
            pytest.param(how, n, marks=pytest.mark.more)
            for how in ("resident", "streamed")
            for n in (64, 512, 1500, 2048)
        ),
    ],
)
def test_the_budget_that_is_planned_is_within_a_percent_of_what_a_replay_needs(how: str, length: int) -> None:
    asked = events(how, length)
    peak = peak_bytes(asked)
    needed = least_limit(asked) + CUDA_CONTEXT_BYTES + CUDA_WORKSPACE_BYTES
    assert peak + reserve_bytes("cuda", peak) == pytest.approx(needed, rel=0.0101)


def test_weights_in_one_piece_waste_less() -> None:
    wasted = {}
    for how in ("by tensors", "resident"):
        sizes = weights(how)
        wasted[how] = CachingAllocator().replay((n + 1, size) for n, size in enumerate(sizes)).reserved - sum(sizes)
    assert wasted["by tensors"] == pytest.approx(221 * MIB, abs=15 * MIB)
    assert wasted["resident"] < 25 * MIB


# --- the simulation


@pytest.mark.parametrize(
    ("sizes", "reserved"),
    [
        ([1], 2 * MIB),
        ([MIB, MIB], 2 * MIB),
        ([MIB, MIB, 1], 4 * MIB),
        ([MIB + 1], 20 * MIB),
        ([9 * MIB, 9 * MIB], 20 * MIB),
        ([10 * MIB], 10 * MIB),
        ([10 * MIB + 1, 1], 14 * MIB),
        ([9 * MIB, 12 * MIB, 9 * MIB], 32 * MIB),
    ],
)
def test_segments(sizes: list[int], reserved: int) -> None:
    assert CachingAllocator().replay(enumerate(sizes)).reserved == reserved


def test_free_blocks_are_joined_and_taken_again() -> None:
    six = [(number, 6 * MIB) for number in range(3)]  # of one segment
    found = CachingAllocator().replay([*six, (0, 0), (1, 0), (3, 9 * MIB)])
    assert found.reserved == 20 * MIB
    assert found.replay([(4, 4 * MIB)]).reserved == 40 * MIB  # 3 MiB and 2 are left, apart
    assert found.replay([(2, 0), (5, 5 * MIB)]).reserved == 40 * MIB


def test_what_is_free_is_given_back_at_the_limit() -> None:
    allocator = CachingAllocator(100 * MIB)
    allocator.replay([(1, 60 * MIB), (1, 0), (2, 80 * MIB)])
    assert (allocator.reserved, allocator.peak_reserved) == (80 * MIB, 80 * MIB)
    with pytest.raises(OutOfMemory):
        allocator.replay([(3, 30 * MIB)])


def test_the_least_limit_of_a_program() -> None:
    program = [(1, 30 * MIB), (1, 0), (2, 50 * MIB), (3, 20 * MIB), (2, 0)]
    assert peak_bytes(program) == 70 * MIB
    assert 70 * MIB <= least_limit(program) < 71 * MIB
