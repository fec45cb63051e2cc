"""The picture shows what the records hold."""

from __future__ import annotations

import json
from dataclasses import replace
from statistics import median

from lowmem_fold.bench.records import read_measurements
from plots.times import PANELS, RESULTS, draw, times
from tests.plots.drawn import figure_of, points_of


def test_curves_are_the_records() -> None:
    """Read again without the code that the plot reads with."""
    found = times(read_measurements(RESULTS))
    expected: dict[str, dict[int, float]] = {}
    for record in map(json.loads, RESULTS.read_text().splitlines()):
        asked = record["requested"]
        way = (
            asked["code"]
            if asked["precision"] is None
            else f"{asked['code']} {asked['precision']}, {asked['placement']}"
        )
        if record["status"] == "ok" and asked["num_recycles"] == found.passes - 1:
            expected.setdefault(way, {})[asked["length"]] = median(record["samples"]["seconds"])
    assert {way: dict(curve) for way, curve in found.curves.items()} == {
        way: expected[way] for panel in PANELS.values() for way in panel
    }


def test_each_line_is_a_way() -> None:
    found = times(read_measurements(RESULTS))
    for axes, ways in zip(figure_of(draw, found).axes, PANELS.values(), strict=True):
        assert points_of(axes) == {label: found.curves[way] for way, (_, _, label) in ways.items()}


def test_a_longer_one_is_drawn_too() -> None:
    """What is added to the records at another length is in the picture that is drawn next."""
    measurements = read_measurements(RESULTS)
    more = [
        replace(m, requested={**m.requested, "length": 512}, samples={**m.samples, "seconds": [999.0]})
        for m in measurements
        if m.requested["length"] == 128
    ]
    found = times([*measurements, *more])
    assert all(curve[-1] == (512, 999.0) for curve in found.curves.values())
    stock, _ = figure_of(draw, found).axes
    assert 512 in stock.get_xticks() and stock.get_ylim()[1] > 999 and stock.get_xlim()[1] > 512
