"""Batches keep to their budget and lose nobody, and those for which the weights lie fastest come first."""

from __future__ import annotations

import random
from collections import deque
from itertools import pairwise

import pytest

from lowmem_fold.run.order import WINDOW_TOKENS, longest_tokens, next_window, plan_batches, sort_by_placement
from lowmem_fold.sequences.fasta import parse_sequence

from ..fake_run import make_records


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


def test_windows_are_filled_in_order_and_never_empty():
    batches = deque([[record] for record in records_of(40, 60, 1, 500, 30, 30)])
    windows = []
    while batches:
        windows.append([record.id for batch in next_window(batches, 100) for record in batch])
    assert windows == [["r0", "r1"], ["r2"], ["r3"], ["r4", "r5"]]


def test_batches_stay_whole_in_windows():
    batches = deque([records_of(10, 10), records_of(50), records_of(60, 60)])
    assert [len(next_window(batches, 70)) for _ in range(2)] == [2, 1]
    assert not batches
    assert WINDOW_TOKENS == 4096


@pytest.mark.parametrize(("lengths", "expected"), [([[30], [40]], 40), ([[30, 40], [45]], 50), ([[1] * 5], 3)], ids=str)
def test_batch_counts_as_the_record_with_its_pairs(lengths, expected):
    assert longest_tokens([records_of(*batch) for batch in lengths]) == expected


def placement_of(length: int) -> str | None:
    limits = {"resident": 30, "staged": 60, "streamed": 200}
    return next((name for name, limit in limits.items() if length <= limit), None)


def ids(batches: list) -> list[list[str]]:
    return [[record.id for record in batch] for batch in batches]


def test_each_class_is_drained_before_the_next() -> None:
    """The fastest first; within a class the order is that of the input; what fits nowhere is last."""
    batches = [[record] for record in make_records(30, 150, 10, 300, 45, 30, 60)]
    found = ids(sort_by_placement(batches, placement_of))
    assert found == [["r0"], ["r2"], ["r5"], ["r4"], ["r6"], ["r1"], ["r3"]]


def test_records_of_a_batch_count_together() -> None:
    """As one whose pair state is as large as theirs: 31 for two of 22."""
    pair, single = make_records(22, 22), make_records(30)
    assert sort_by_placement([pair, single], placement_of) == [single, pair]


@pytest.mark.parametrize("last", [29, 2000], ids=["one class", "all classes"])
def test_few_lengths_are_asked_for(last: int) -> None:
    asked: list[int] = []

    def counted(length: int) -> str | None:
        asked.append(length)
        return placement_of(length)

    batches = [[record] for record in make_records(*range(1, last + 1))]
    found = sort_by_placement(batches, counted)
    assert [len(batch[0].sequence) for batch in found] == list(range(1, last + 1))
    assert len(asked) == len(set(asked)) <= (2 if last == 29 else 40)


def test_no_records() -> None:
    assert sort_by_placement([], placement_of) == []
