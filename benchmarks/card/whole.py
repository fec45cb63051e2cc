"""The whole of ESMFold v1's dimensions, ours and stock's: seconds of each phase, peak, planned and measured."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch

import lowmem_fold as lf
from lowmem_fold.bench.chains import chain_of
from lowmem_fold.bench.clock import PhaseClock, now
from lowmem_fold.bench.peers import PEERS, StockFold
from lowmem_fold.bench.records import Measurement
from lowmem_fold.memory.meters import peak_meter
from lowmem_fold.planning.plan import Planner

from .card import Card, Findings
from .model import full_size_model

LENGTHS = (128, 256, 512, 1024)
PRECISIONS = ("fp16", "fp16,pair=fp16")
STOCK = "stock fp16 stem"
NUM_RECYCLES = 1
ONCE_FROM = 1024
"""Residues from which one fold is taken, without one before it to warm up."""


def run(card: Card) -> Iterator[Measurement]:
    yield card.measured("card-stand-in", {}, partial(_make, card))
    model = full_size_model(card)
    yield from _all_ours(card, model, PRECISIONS[0])
    peer = PEERS[STOCK].load(model, card.device)
    peer.model.trunk.set_chunk_size(64)
    for length in card.lengths(*LENGTHS, cpu_longest=LENGTHS[0]):
        yield _record(card, f"{STOCK}, chunk_size 64", None, length, partial(_stock, card, peer, length))
    del peer
    card.empty_cache()
    for precision in PRECISIONS[1:]:
        yield from _all_ours(card, model, precision)
    for precision in PRECISIONS:  # last, since it needs no card
        for length in card.lengths(*LENGTHS, cpu_longest=LENGTHS[0]):
            asked = {"precision": precision, "length": length, "num_recycles": NUM_RECYCLES, "placement": "resident"}
            yield card.measured("card-planned", asked, partial(_plan, card, model, precision, length))


def _all_ours(card: Card, model: Path, precision: str) -> Iterator[Measurement]:
    folder = lf.load(str(model), device=card.device, precision=precision, placement="resident")
    for length in card.lengths(*LENGTHS, cpu_longest=LENGTHS[0]):
        yield _record(card, "lowmem_fold", precision, length, partial(_ours, card, folder, length))
    del folder
    card.empty_cache()


def _record(card: Card, code: str, precision: str | None, length: int, measure: partial) -> Measurement:
    asked = {"code": code, "precision": precision, "placement": "resident", "length": length}
    about = {"weights": "random, ESMFold v1's layout, stem in float16"}
    return card.measured("card-whole", {**asked, "num_recycles": NUM_RECYCLES}, measure, **about)


def _make(card: Card, found: Findings) -> None:
    start = time.perf_counter()
    folder = full_size_model(card)
    found.add(seconds=time.perf_counter() - start)
    found.add(file_bytes=sum(file.stat().st_size for file in folder.iterdir()))


def _ours(card: Card, folder: lf.Folder, length: int, found: Findings) -> None:
    sequence = chain_of(length)[0]
    if length < ONCE_FROM:
        folder.fold(sequence, num_recycles=0)
    clock = PhaseClock(card.device)
    with peak_meter(card.device) as meter:
        start = now(card.device)
        prediction = folder.fold(sequence, num_recycles=NUM_RECYCLES, phase=clock.begins)
        clock.stop()
        found.add(seconds=now(card.device) - start)
    found.add(peak_bytes=meter.peak_bytes or 0, ptm=prediction.ptm)
    found.add(**{f"{phase}_seconds": taken for phase, taken in clock.seconds.items()})
    found.resolved["ruler"] = meter.name
    if card.is_cuda:
        found.add(reserved_peak_bytes=torch.cuda.max_memory_reserved())


def _stock(card: Card, peer: StockFold, length: int, found: Findings) -> None:
    sequence = chain_of(length)[0]
    if length < ONCE_FROM:
        peer(sequence, 0)
    with peak_meter(card.device) as meter:
        start = now(card.device)
        outputs = peer(sequence, NUM_RECYCLES)
        found.add(seconds=now(card.device) - start)
    found.add(peak_bytes=meter.peak_bytes or 0, ptm=outputs["ptm"])
    found.resolved["ruler"] = meter.name


def _plan(card: Card, model: Path, precision: str, length: int, found: Findings) -> None:
    """What would have been planned, and how much of a budget it takes with its reserve."""
    planner = Planner("1TB", str(model), precision, str(card.device), "resident", None, NUM_RECYCLES)
    (plan,) = (each for each in planner.plans(length, presets=False).plans if each.placement == "resident")
    found.add(planned_peak_bytes=plan.peak_bytes, planned_budget_bytes=plan.needed_bytes)
