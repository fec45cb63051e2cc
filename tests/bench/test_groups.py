"""Records that can be compared come together, the latest of each, and nothing else does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lowmem_fold.bench.configuration import OURS
from lowmem_fold.bench.groups import groups, way_of
from tests.bench.sweeps import CARD, fold, sweep

STOCK, FP32 = "stock fp32", "lowmem_fold fp32, resident"


def test_one_machine_and_model_is_one_group() -> None:
    (group,) = groups(sweep())
    assert group.title == "demo on A CPU, 2 cores, 3 recycles"
    assert group.ways == [FP32, "lowmem_fold int8, resident", STOCK]  # ours first
    assert group.lengths == [64, 128, 256, 512] and group.lost(STOCK) == [512]


@pytest.mark.parametrize(
    "other",
    [
        fold(environment=CARD, resolved={"device": "cuda"}),
        fold(requested={"num_recycles": 0}),
        fold(requested={"model": "other"}),
        fold(resolved={"fingerprint": "f11"}),
    ],
    ids=["card", "recycles", "model", "weights"],
)
def test_what_cannot_be_compared_is_apart(other) -> None:
    first, second = groups([fold(), other])
    assert len(first.records) == len(second.records) == 1


def test_other_benchmarks_are_left_out() -> None:
    assert groups([replace(fold(), benchmark="seconds")]) == []


def test_the_latest_counts() -> None:
    (group,) = groups([fold(), fold(samples={"seconds": [7.0]})])
    assert group.curve(FP32, "seconds") == [(128, 7.0)]


def test_curves_are_medians_and_of_bytes_the_most() -> None:
    (group,) = groups([fold(samples={"seconds": [3.0, 1.0, 9.0], "anonymous_peak_bytes": [5, 9, 7]})])
    assert group.curve(FP32, "seconds") == [(128, 3.0)] and group.curve(FP32, "anonymous_peak_bytes") == [(128, 9)]


def test_ratios_are_to_the_reference_where_both_are() -> None:
    (group,) = groups([*sweep((64, 128)), fold(length=1024)])
    assert group.ratios(FP32, STOCK, "seconds") == [(64, 0.5), (128, 0.5)]
    assert group.ratios(FP32, STOCK, "anonymous_peak_bytes") == [(64, 0.25), (128, 0.25)]


def test_a_peak_is_what_all_have() -> None:
    both = {"samples": {"resident_peak_bytes": [1]}}
    (group,) = groups([fold(**both), fold(length=64, **both)])
    assert group.peak == "anonymous_peak_bytes"
    apart = fold(length=64, **both)
    samples = {name: values for name, values in apart.samples.items() if "anonymous" not in name}
    (group,) = groups([fold(**both), replace(apart, samples=samples)])
    assert group.peak == "resident_peak_bytes"


def test_nothing_finished_has_no_peak() -> None:
    (group,) = groups([replace(fold(), status="timeout", reason="not done", samples={})])
    assert group.peak is None and group.curve(FP32, "seconds") == []


@pytest.mark.parametrize(
    ("record", "way"),
    [
        (fold(), FP32),
        (fold(("stock fp32", None, None)), STOCK),
        (fold(requested={"chunk_size": 16, "memory": "8GB"}), f"{FP32}, 16 rows, within 8GB"),
        (fold((OURS, None, None)), "lowmem_fold as stored, placed by the planner"),
        (fold((OURS, None, None), resolved={"precision": "int4", "placement": "staged"}), "lowmem_fold int4, staged"),
    ],
    ids=["ours", "a peer", "options", "nothing known", "resolved"],
)
def test_ways_have_names(record, way: str) -> None:
    assert way_of(record) == way


@pytest.mark.parametrize(
    ("requested", "environment", "machine"),
    [("cpu", CARD, "A CPU, 2 cores"), ("cuda", CARD, "A card"), ("auto", CARD, "A card")],
)
def test_a_process_that_was_killed_has_a_machine_too(requested: str, environment: dict, machine: str) -> None:
    """Its record says nothing of the device but what was asked for."""
    lost = replace(fold(environment=environment, requested={"device": requested}), resolved={}, samples={})
    (group,) = groups([replace(lost, status="oom", reason="killed")])
    assert group.machine == machine
