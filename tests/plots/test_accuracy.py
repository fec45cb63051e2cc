"""The picture shows what the records hold."""

from __future__ import annotations

import json

import numpy as np
import pytest

from plots.accuracy import QUANTITIES, RESULTS, STYLES, draw, points, read
from tests.plots.drawn import figure_of


def _lines(name: str) -> list[str]:
    return (RESULTS / f"{name}.jsonl").read_text().splitlines()


def test_points_are_those_of_the_records() -> None:
    """Read again without the code that the plot reads with; the interval by scipy's bootstrap."""
    from scipy.stats import bootstrap

    records = [json.loads(line) for name in ("loading", "precision") for line in _lines(name)]
    weights = {
        r["requested"]["precision"]: r["resolved"].get("weights") for r in records if r["benchmark"] == "loading"
    }
    drifts = {r["requested"]["precision"]: r["samples"] for r in records if r["benchmark"] == "precision-drift"}
    found = points(read())
    assert [point.precision for point in found] == [name for name in drifts if name in weights]
    assert {point.precision for point in found} == set(STYLES)
    for point in found:
        assert point.bits_per_weight == weights[point.precision]["total"]["bits_per_weight"]
        for quantity in QUANTITIES:
            values = drifts[point.precision][quantity]
            assert point.drift[quantity].median == np.median(values)
            low, high = bootstrap([values], np.median, method="percentile", random_state=1).confidence_interval
            spread = 0.3 * (high - low) + 1e-9
            assert point.drift[quantity].interval == (pytest.approx(low, abs=spread), pytest.approx(high, abs=spread))


def test_each_mark_is_a_point() -> None:
    found = points(read())
    for axes, quantity in zip(figure_of(draw, found).axes, QUANTITIES, strict=True):
        drawn = {bars.get_label(): bars for bars in axes.containers}
        for point in found:
            line, _, (stems,) = drawn[point.precision].lines
            assert (line.get_xdata()[0], line.get_ydata()[0]) == (point.bits_per_weight, point.drift[quantity].median)
            ends = stems.get_segments()[0][:, 1]
            assert tuple(ends) == pytest.approx(point.drift[quantity].interval)
