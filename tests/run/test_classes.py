from __future__ import annotations

import pytest

from lowmem_fold.run.classes import sort_by_placement

from ..fake_run import make_records


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
