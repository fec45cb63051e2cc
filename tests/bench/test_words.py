"""No name of the project's own is left for a reader of pictures and pages."""

from __future__ import annotations

import pytest

from lowmem_fold.bench.groups import groups
from lowmem_fold.bench.peers import PEERS
from lowmem_fold.bench.words import group_words, way_words
from tests.bench.sweeps import fold


@pytest.mark.parametrize(
    ("way", "words"),
    [
        ("stock fp32", "stock fp32"),
        ("stock fp16 stem", "stock, language model in fp16"),
        ("the article's recipe", "stock, QuantoConfig(int8)"),
        ("lowmem_fold int8, resident", "lowmem_fold int8"),
        ("lowmem_fold fp32, streamed", "lowmem_fold fp32, weights streamed"),
        ("lowmem_fold fp32, resident, 16 rows, within 8GB", "lowmem_fold fp32, 16 rows, within 8GB"),
        ("something else", "something else"),
    ],
)
def test_ways(way: str, words: str) -> None:
    assert way_words(way) == words


def test_every_other_code_is_named_as_stock() -> None:
    """And differently from each other."""
    words = [way_words(name) for name in PEERS]
    assert all(each.startswith("stock") for each in words) and len(set(words)) == len(words)
    assert not [each for each in words if "stem" in each or "recipe" in each]


@pytest.mark.parametrize(
    ("model", "words"),
    [("demo", "the demo model"), ("stand-in", "ESMFold v1, full-size random weights"), ("other", "other")],
)
def test_groups(model: str, words: str) -> None:
    (group,) = groups([fold(requested={"model": model})])
    assert group_words(group) == f"{words} on A CPU, 2 cores, 3 recycles"
