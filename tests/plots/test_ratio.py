"""The picture shows what the records hold."""

from __future__ import annotations

import json
from statistics import median

import pytest

from lowmem_fold.bench.records import read_measurements
from plots.ratio import RESULTS, draw, ratios
from tests.plots.drawn import figure_of, points_of


def test_ratios_are_those_of_the_records() -> None:
    """Read again without the code that the plot reads with."""
    peaks: dict[tuple, int] = {}
    seconds: dict[int, float] = {}
    for record in map(json.loads, RESULTS.read_text().splitlines()):
        asked, samples = record["requested"], record["samples"]
        if record["benchmark"] == "engine-memory":
            peaks[asked["code"][:3], asked["chunk_size"], asked["length"]] = samples["peak_bytes"][0]
        if record["benchmark"] == "engine-speed":
            parts = "block", "structure", "stock_block", "stock_structure"
            turns = zip(*(samples[f"{part}_seconds"] for part in parts), strict=True)
            seconds[asked["length"]] = median((48 * a + b) / (48 * c + d) for a, b, c, d in turns)
    found = ratios(read_measurements(RESULTS))
    assert found.seconds == pytest.approx(seconds) and set(seconds) == {128, 256, 384}
    for chunk in ("64", "None"):
        stock = {n: size for (code, rows, n), size in peaks.items() if code == "tra" and str(rows) == chunk}
        assert found.memory[chunk] == {n: peaks["low", None, n] / size for n, size in stock.items()}
        assert len(stock) == 5


def test_each_line_is_a_ratio() -> None:
    found = ratios(read_measurements(RESULTS))
    memory, seconds = map(points_of, figure_of(draw, found).axes)
    assert memory == {
        "compared with stock, chunk_size 64": sorted(found.memory["64"].items()),
        "compared with stock, unchunked": sorted(found.memory["None"].items()),
    }
    assert seconds == {"compared with stock, chunk_size 64": sorted(found.seconds.items())}
