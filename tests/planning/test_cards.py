from __future__ import annotations

import json
from pathlib import Path

import pytest

from lowmem_fold.esmfold.family import FAMILY
from lowmem_fold.planning import cards
from lowmem_fold.planning.cards import longest_proteins, stock_bytes
from lowmem_fold.planning.plan import Planner

RECORDS = Path(__file__).parent.parent.parent / "benchmarks" / "results" / "engine.jsonl"


@pytest.mark.parametrize("chunk_size", [64, pytest.param(None, marks=pytest.mark.more)])
def test_the_law_of_stock_is_what_its_code_took_at_other_lengths(chunk_size: int | None) -> None:
    """From the records of the ledger on stock's whole forward pass, to 4,096 residues."""
    law = stock_bytes(FAMILY, chunk_size)
    found = 0
    for record in map(json.loads, RECORDS.read_text().splitlines()):
        asked = record["requested"]
        if (
            record["benchmark"] == "engine-memory"
            and asked["code"] != "lowmem_fold"
            and asked["chunk_size"] == chunk_size
        ):
            assert law(asked["length"]) == pytest.approx(record["samples"]["peak_bytes"][0], rel=0.002)
            found += 1
    assert found >= 5


@pytest.mark.more
def test_longest_is_what_the_planner_finds_itself() -> None:
    check_longest("facebook/esmfold_v1", 24)


def test_longest_of_a_small_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose activations are those of fewer channels, between fewer lengths."""
    monkeypatch.setattr(cards, "LENGTHS", (64, 512, 1024, 2048, 4096))
    monkeypatch.setattr(cards, "CARDS_GB", (1, 2, 3))
    check_longest("demo", 2)


def check_longest(model: str, size: int) -> None:
    """Interpolated between lengths here, worked out at each length there."""
    (row,) = [r for r in longest_proteins(model, ["int8"], stock=False) if r.placement == "resident"]
    planner = Planner(size * 10**9, model, "int8", "cuda", "resident", None, 3)
    assert row.residues[size] == pytest.approx(planner.longest("int8"), rel=0.01)
    assert list(row.residues.values()) == sorted(row.residues.values())
    assert 0 < max(row.residues.values()) < cards.LENGTHS[-1]
