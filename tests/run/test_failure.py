"""What a failed record's line says of the memory that it would need."""

from __future__ import annotations

import re
from pathlib import Path

from lowmem_fold import residency
from lowmem_fold.memory.budget import parse_memory
from lowmem_fold.planning.options import PLACEMENTS
from lowmem_fold.planning.plan import Planner
from lowmem_fold.run.failure import smallest_budget_text
from lowmem_fold.run.options import RunOptions
from lowmem_fold.sequences.fasta import parse_sequence

RECORD = parse_sequence("A" * 300, "one")


def test_smallest_budget_is_that_of_the_smallest_placement(sound: Path) -> None:
    text = smallest_budget_text(RECORD, RunOptions(model=str(sound), device="cpu"))
    found = re.fullmatch(r"; --memory (\d+MB) would do \((\w+), fp32\)", text)
    planner = Planner(2**60, str(sound), None, "cpu", None, None, 3)
    needed = {each.placement: each.needed_bytes for each in planner.plans(300).plans if each.precision == "fp32"}
    assert needed[found[2]] == min(needed.values()) <= parse_memory(found[1]) < min(needed.values()) + 10**6


def test_nothing_is_said_of_a_model_that_is_not_known(tmp_path: Path) -> None:
    assert smallest_budget_text(RECORD, RunOptions(model=str(tmp_path / "nowhere"), device="cpu")) == ""


def test_placements_are_those_of_the_model() -> None:
    assert PLACEMENTS == residency.PLACEMENTS
