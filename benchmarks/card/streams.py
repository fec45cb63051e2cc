"""Placements in full size: what a copy beside the arithmetic costs, and a budget that is enforced."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

import numpy as np

import lowmem_fold as lf
from lowmem_fold.bench.chains import chain_of
from lowmem_fold.bench.clock import PhaseClock
from lowmem_fold.bench.records import Measurement
from lowmem_fold.memory.meters import peak_meter

from .card import Card, Findings
from .model import full_size_model

LENGTHS = (128, 256, 512)
NUM_RECYCLES = 1
BUDGET, BUDGET_LONGEST = "1.9GB", 256
WAYS = (("resident", None), ("staged", None), ("streamed", None), ("streamed", BUDGET))


def run(card: Card) -> Iterator[Measurement]:
    model = str(full_size_model(card))
    expected: dict[int, np.ndarray] = {}
    for placement, memory in WAYS:
        asked = {"placement": placement, "memory": memory, "precision": "fp16", "num_recycles": NUM_RECYCLES}
        loaded: list[lf.Folder] = []
        yield card.measured("card-streams-load", asked, partial(_load, card, model, asked, loaded))
        for length in card.lengths(*LENGTHS, cpu_longest=LENGTHS[0]) if loaded else ():
            if memory is None or length <= BUDGET_LONGEST:
                fold = partial(_fold, card, loaded[0], length, expected)
                yield card.measured("card-streams", {**asked, "length": length}, fold)
        loaded.clear()
        card.empty_cache()


def _load(card: Card, model: str, asked: dict, loaded: list[lf.Folder], found: Findings) -> None:
    if asked["memory"] is not None:
        card.require_cuda("a budget that is enforced")
    start = time.perf_counter()
    folder = lf.load(
        model,
        device=card.device,
        precision=asked["precision"],
        placement=asked["placement"],
        memory=asked["memory"],
        length=BUDGET_LONGEST if asked["memory"] else None,
    )
    found.add(seconds=time.perf_counter() - start)
    found.resolved["weights_wait_in"] = folder.describe()["weights_wait_in"]
    loaded.append(folder)


def _fold(card: Card, folder: lf.Folder, length: int, expected: dict[int, np.ndarray], found: Findings) -> None:
    sequence = chain_of(length)[0]
    folder.fold(sequence, num_recycles=0)
    clock = PhaseClock(card.device)
    with peak_meter(card.device) as meter:
        prediction = folder.fold(sequence, num_recycles=NUM_RECYCLES, phase=clock.begins)
        clock.stop()
    found.add(**{f"{phase}_seconds": taken for phase, taken in clock.seconds.items()})
    found.add(peak_bytes=meter.peak_bytes or 0)
    known = expected.setdefault(length, prediction.positions)
    found.resolved |= {"same_as_resident": bool(np.array_equal(known, prediction.positions)), "ruler": meter.name}
