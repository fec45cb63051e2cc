"""The demo model on the device beside the CPU: every placement and pair storage, each folded twice."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

import lowmem_fold as lf
from lowmem_fold.bench.chains import chain_of
from lowmem_fold.bench.records import Measurement

from .card import Card, Findings

EVERYWHERE = ("fp32", "fp16")
RESIDENT = ("bf16", "pair=fp16", "pair=bf16", "operand=fp16", "operand=bf16")
LENGTH = 128


def run(card: Card) -> Iterator[Measurement]:
    sequence = chain_of(LENGTH)[0][: LENGTH if not card.quick else 20]
    expected = lf.load("demo", device="cpu").fold(sequence)
    ways: list[tuple[str, str, str | None]] = [(each, "resident", None) for each in (*EVERYWHERE, *RESIDENT)]
    for precision in EVERYWHERE[:1] if card.quick else EVERYWHERE:
        ways += [(precision, "staged", None), (precision, "streamed", None)]
        if card.is_cuda:  # so little of main memory that the weights wait in the file
            ways.append((precision, "streamed", "1KB"))
    for precision, placement, host_memory in ways:
        asked = {"precision": precision, "placement": placement, "host_memory": host_memory, "length": len(sequence)}
        yield card.measured("card-demo", asked, partial(_fold, card, sequence, expected, asked))


def _fold(card: Card, sequence: str, expected: lf.Prediction, asked: dict, found: Findings) -> None:
    folder = lf.load(
        "demo",
        device=card.device,
        precision=asked["precision"],
        placement=asked["placement"],
        host_memory=asked["host_memory"],
    )
    found.resolved["weights_wait_in"] = folder.describe()["weights_wait_in"]
    first, again = folder.fold(sequence), folder.fold(sequence)
    found.resolved["same_twice"] = all(
        np.array_equal(getattr(first, name), getattr(again, name)) for name in ("positions", "plddt", "pae")
    )
    found.add(
        distance_difference_angstrom=_largest(_distances(first) - _distances(expected)),
        plddt_difference=_largest(first.plddt - expected.plddt),
        pae_difference_angstrom=_largest(first.pae - expected.pae),
        ptm_difference=abs(first.ptm - expected.ptm),
    )


def _distances(prediction: lf.Prediction) -> np.ndarray:
    """Shape (L, L), Angstrom: between CA atoms, which no rotation changes."""
    ca = prediction.positions[:, 1].astype(np.float64)
    return np.linalg.norm(ca[:, None] - ca[None], axis=-1)


def _largest(differences: np.ndarray) -> float:
    return float(np.abs(differences).max())
