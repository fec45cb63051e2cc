"""The picture shows what the records hold."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lowmem_fold.predictions.structures import read_pdb
from plots.accuracy import BY_LENGTH, QUANTITY, RESULTS, draw, drifts, read
from plots.precisions import WORDS
from tests.plots.drawn import figure_of, points_of

CHAINS = Path(__file__).parents[2] / "benchmarks" / "data" / "ts50"


def _records() -> dict[str, dict]:
    lines = (RESULTS / "precision.jsonl").read_text().splitlines()
    return {r["requested"]["precision"]: r for r in map(json.loads, lines) if r["benchmark"] == "precision-drift"}


def test_values_are_those_of_the_records() -> None:
    """Read again without the code that the plot reads with; the interval by scipy's bootstrap."""
    from scipy.stats import bootstrap

    records, found = _records(), drifts(read())
    assert [drift.precision for drift in found] == [name for name in WORDS if name in records]
    for drift in found:
        values = records[drift.precision]["samples"][QUANTITY]
        assert drift.values == values and len(values) == 50
        assert drift.summary.median == np.median(values)
        low, high = bootstrap([values], np.median, method="percentile", random_state=1).confidence_interval
        spread = 0.3 * (high - low) + 1e-9
        assert drift.summary.interval == (pytest.approx(low, abs=spread), pytest.approx(high, abs=spread))


def test_lengths_are_those_of_the_chains() -> None:
    """Counted in a few of the files that were folded."""
    drift = drifts(read())[0]
    chains = _records()[drift.precision]["resolved"]["chains"]
    for place in (0, 7, 49):
        assert drift.lengths[place] == len(read_pdb(CHAINS / f"{chains[place]}.pdb.gz").ca)


def test_a_chain_of_unknown_length_is_an_error() -> None:
    measurements = [
        replace(m, resolved={**m.resolved, "chains": ["1abcA"]}) if m.benchmark == "precision-drift" else m
        for m in read()
    ]
    with pytest.raises(KeyError, match="1abcA"):
        drifts(measurements)


def test_each_mark_is_a_chain_and_each_bar_a_precision() -> None:
    found = drifts(read())
    left, right = figure_of(draw, found).axes
    assert points_of(left) == {
        WORDS[drift.precision]: list(zip(drift.lengths, drift.values, strict=True))
        for drift in found
        if drift.precision in BY_LENGTH
    }
    assert [label.get_text() for label in right.get_yticklabels()] == [WORDS[drift.precision] for drift in found]
    for place, (drift, bars) in enumerate(zip(found, right.containers, strict=True)):
        line, _, (stems,) = bars.lines
        assert (line.get_xdata()[0], line.get_ydata()[0]) == (drift.summary.median, place)
        assert tuple(stems.get_segments()[0][:, 0]) == pytest.approx(drift.summary.interval)
