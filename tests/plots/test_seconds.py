"""The picture shows what the records hold."""

from __future__ import annotations

import json
from statistics import median

import pytest

from lowmem_fold.bench.records import read_measurements
from plots.seconds import RESULTS, STYLES, draw, points
from tests.plots.drawn import figure_of, points_of


def test_points_are_those_of_the_records() -> None:
    """Read again without the code that the plot reads with."""
    expected = {}
    for record in map(json.loads, RESULTS.read_text().splitlines()):
        asked, samples = record["requested"], record["samples"]
        taken = sum(n * median(samples[f"{part}_seconds"]) for part, n in record["resolved"]["times"].items())
        expected[(asked["model"], asked["precision"]), asked["length"]] = (taken, samples["predicted_seconds"][0])
    found = points(read_measurements(RESULTS))
    assert {(p.kind, p.length): (p.measured_seconds, p.predicted_seconds) for p in found} == {
        key: (pytest.approx(taken), predicted) for key, (taken, predicted) in expected.items()
    }
    assert {kind for kind, _ in expected} == set(STYLES)


def test_each_mark_is_a_point() -> None:
    found = points(read_measurements(RESULTS))
    (axes,) = figure_of(draw, found).axes
    drawn = {place for places in points_of(axes).values() for place in places}
    assert drawn == {(p.measured_seconds, p.predicted_seconds / p.measured_seconds) for p in found}
    low, high = axes.get_ylim()
    assert all(low < ratio < high for _, ratio in drawn)
