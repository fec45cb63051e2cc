"""The picture shows what the records hold."""

from __future__ import annotations

import json
from pathlib import Path

from lowmem_fold.bench.records import read_measurements
from plots.activations import RESULTS, STYLES, curves, draw
from tests.plots.drawn import figure_of, points_of


def test_curves_are_the_records() -> None:
    """Read again without the code that the plot reads with."""
    expected: dict[tuple, float] = {}
    for line in Path(RESULTS).read_text().splitlines():
        record = json.loads(line)
        if record["benchmark"] == "engine-memory":
            asked = record["requested"]
            key = "lowmem_fold" if asked["code"] == "lowmem_fold" else str(asked["chunk_size"])
            expected[key, asked["length"]] = record["samples"]["peak_bytes"][0] / 1024**3
    drawn = {
        (key, n): peak
        for key, ns, peaks in curves(read_measurements(RESULTS))
        for n, peak in zip(ns, peaks, strict=True)
    }
    assert drawn == expected
    assert {length for _, length in drawn} >= {1024, 2048, 4096}


def test_lines_differ_in_colour_mark_and_dashes() -> None:
    looks = [(color, *line) for color, line, _ in STYLES.values()]
    assert len({color for color, *_ in looks}) == len({mark for _, mark, *_ in looks}) == len(looks)


def test_each_line_is_a_curve() -> None:
    found = curves(read_measurements(RESULTS))
    (axes,) = figure_of(draw, found).axes
    drawn = points_of(axes)
    assert drawn == {STYLES[key][2]: list(zip(lengths, peaks, strict=True)) for key, lengths, peaks in found}
