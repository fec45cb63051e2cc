"""Packing by hand-made cases."""

import pytest

from lowmem_fold.sequences.packing import packed

CASES = {
    "none": ([], []),
    "one": ([5], [[5]]),
    "greedy": ([1, 2, 3, 4], [[1, 2], [3], [4]]),
    "large-first": ([9, 1, 1], [[9], [1, 1]]),
    "large-between": ([1, 9, 1], [[1], [9], [1]]),
}


@pytest.mark.parametrize(("sizes", "groups"), CASES.values(), ids=CASES.keys())
def test_neighbours_lie_together_as_long_as_they_fit(sizes: list[int], groups: list[list[int]]) -> None:
    assert packed(sizes, lambda size: size, 4) == groups
