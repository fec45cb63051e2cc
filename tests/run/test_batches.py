"""Batches keep to their budget and lose nobody."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from lowmem_fold.run.batches import plan_batches
from lowmem_fold.sequences import parse_sequence


def records_of(*lengths):
    return [parse_sequence("A" * length, f"r{i}") for i, length in enumerate(lengths)]


@pytest.mark.parametrize("off", [None, 0])
def test_without_a_budget_each_record_is_alone_and_in_order(off):
    records = records_of(5, 3, 9)
    assert plan_batches(records, off) == [[record] for record in records]


@pytest.mark.parametrize("budget", [1, 20, 100, 1000])
def test_budget_holds(budget):
    rng = random.Random(budget)
    records = records_of(*(rng.randint(1, 120) for _ in range(60)))
    batches = plan_batches(records, budget)
    assert sorted(record.id for batch in batches for record in batch) == sorted(record.id for record in records)
    for batch in batches:
        assert len(batch) == 1 or sum(record.num_tokens for record in batch) <= budget
    for batch, after in pairwise(batches):
        assert sum(record.num_tokens for record in batch) + after[0].num_tokens > budget


def test_batches_are_filled():
    assert [len(batch) for batch in plan_batches(records_of(*[10] * 7), 30)] == [3, 3, 1]


def test_linkers_count():
    pair = [parse_sequence("A:A", "a"), parse_sequence("A:A", "b")]  # 27 tokens each
    assert [len(batch) for batch in plan_batches(pair, 53)] == [1, 1]
    assert [len(batch) for batch in plan_batches(pair, 54)] == [2]
