"""The picture shows what the records hold."""

from __future__ import annotations

import json

import pytest

from lowmem_fold.bench.records import read_measurements
from plots.precisions import WORDS
from plots.sizes import RESULTS, draw, sizes
from tests.plots.drawn import figure_of


def _totals() -> dict[str, int]:
    """Bytes by precision, as the loaded model had them in all."""
    lines = RESULTS.read_text().splitlines()
    return {r["requested"]["precision"]: r["samples"]["weight_bytes"][0] for r in map(json.loads, lines)}


def test_the_parts_are_the_whole() -> None:
    found = sizes(read_measurements(RESULTS))
    assert {precision: sum(parts.values()) for precision, parts in found.items()} == _totals()


def test_bars_end_at_the_size_in_all() -> None:
    (axes,) = figure_of(draw, sizes(read_measurements(RESULTS))).axes
    ends: dict[int, float] = {}
    for bar in axes.patches:
        row = round(bar.get_y() + bar.get_height() / 2)
        ends[row] = max(ends.get(row, 0.0), bar.get_x() + bar.get_width())
    names = [label.get_text() for label in axes.get_yticklabels()]
    drawn = {names[row]: end for row, end in ends.items()}
    assert drawn == {WORDS[precision]: pytest.approx(size / 1e9) for precision, size in _totals().items()}
    assert [text.get_text() for text in axes.texts] == [f"{drawn[name]:.1f} GB" for name in names]
    assert list(ends.values()) == sorted(ends.values(), reverse=True)
