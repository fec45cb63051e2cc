"""The picture shows what the records hold."""

from __future__ import annotations

import json

from benchmarks.planning import RESULTS
from lowmem_fold.bench.records import read_measurements
from plots.memory import STYLES, curves, draw
from tests.plots.drawn import figure_of, points_of


def test_curves_are_the_records() -> None:
    """Read again without the code that the plot reads with."""
    expected: dict[tuple, float] = {}
    for record in map(json.loads, RESULTS.read_text().splitlines()):
        asked = record["requested"]
        if record["benchmark"] == "planning-peaks" and asked["placement"] != "staged":
            expected[asked["placement"], asked["length"]] = record["samples"]["peak_bytes"][0] / 1024**3
    found = curves(read_measurements(RESULTS))
    assert {(key, n): peak for key, ns, peaks in found for n, peak in zip(ns, peaks, strict=True)} == expected
    assert len({length for _, length in expected}) >= 8 and len(found) == 4


def test_each_line_is_a_curve() -> None:
    found = curves(read_measurements(RESULTS))
    (axes,) = figure_of(draw, found).axes
    drawn = points_of(axes)
    assert drawn == {STYLES[key][2]: list(zip(lengths, peaks, strict=True)) for key, lengths, peaks in found}
