"""No phase of a fold holds a byte more than committed, at any precision: exact figures, so that there is no noise."""

from __future__ import annotations

import json

import pytest

from benchmarks.live_bytes import FIGURES, PRECISIONS, changes, peaks, torch_release

COMMITTED = json.loads(FIGURES.read_text())


@pytest.mark.parametrize("precision", PRECISIONS)
def test_no_peak_has_grown(precision: str) -> None:
    """Nor shrunk without its figure: what was gained once is not lost again unseen."""
    found = list(changes(precision, peaks(precision), COMMITTED["peak_bytes"].get(precision, {})))
    if found and torch_release() not in COMMITTED["torch"]:
        known = ", ".join(COMMITTED["torch"])
        pytest.skip(f"the figures are of torch {known}; with {torch_release()} they differ: {found[0]}")
    assert not found, "\n".join(found)


def test_nothing_is_committed_that_is_not_compared() -> None:
    assert list(COMMITTED["peak_bytes"]) == list(PRECISIONS)


def test_the_trunk_holds_what_its_pair_tensors_take() -> None:
    """The figures are bytes: two float32 pair tensors of 128 channels and at most an eighth of one besides."""
    unit = 1500**2 * 128 * 4
    assert 2 * unit < COMMITTED["peak_bytes"]["fp32"]["1500"]["trunk"] < 2.125 * unit
    assert 1 * unit < COMMITTED["peak_bytes"]["pair=bf16"]["1500"]["trunk"] < 1.125 * unit
    assert 1.5 * unit < COMMITTED["peak_bytes"]["operand=bf16"]["1500"]["trunk"] < 1.625 * unit


@pytest.mark.parametrize(
    ("size", "said"),
    [(101, "grew to 101 (+1): let"), (99, "shrank to 99: good; run `python -m benchmarks.live_bytes` and commit")],
    ids=["a byte more", "a byte less"],
)
def test_a_byte_is_told(size: int, said: str) -> None:
    committed = {"128": {"stem": 100, "trunk": 7}}
    assert list(changes("int8", committed, committed)) == []
    (told,) = changes("int8", {"128": {"stem": size, "trunk": 7}}, committed)
    assert told.startswith("int8, 128 residues, stem: 100 bytes ") and said in told


def test_a_new_precision_is_told() -> None:
    assert list(changes("new", {"128": {"stem": 5}}, {})) == [
        "new, 128 residues, stem: 5 bytes, none committed: run `python -m benchmarks.live_bytes`"
    ]
