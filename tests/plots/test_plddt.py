"""The picture shows what the records hold."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from plots.plddt import PRECISIONS, RESULTS, draw, pairs, read
from tests.plots.drawn import figure_of


def _lines(name: str) -> list[str]:
    return (RESULTS / f"{name}.jsonl").read_text().splitlines()


def test_pairs_are_those_of_the_records() -> None:
    """Read again without the code that the plot reads with."""
    records = [json.loads(line) for name in ("demo", "precision") for line in _lines(name)]
    (before,) = (r["samples"]["mean_plddt"] for r in records if r["requested"].get("predictor") == "demo")
    found = pairs(read())
    assert list(found) == list(PRECISIONS)
    for record in records:
        if record["benchmark"] == "precision-drift" and record["requested"]["precision"] in found:
            fp32, after = found[record["requested"]["precision"]]
            assert fp32 == before and len(after) == 50
            assert np.subtract(after, before) == pytest.approx(record["samples"]["plddt_difference"], abs=1e-9)


def test_each_panel_is_a_precision() -> None:
    found = pairs(read())
    for axes, (before, after) in zip(figure_of(draw, found).axes, found.values(), strict=True):
        x, y = axes.lines[1].get_data()
        assert (list(x), list(y)) == (before, after)


def test_other_chains_are_not_drawn_beside_these() -> None:
    measurements = read()
    other = [
        replace(m, resolved={**m.resolved, "chains": ["1abcA"]}) if m.benchmark == "precision-drift" else m
        for m in measurements
    ]
    with pytest.raises(ValueError, match="bf16: fp32 was measured on other chains"):
        pairs(other)
