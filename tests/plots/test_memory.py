"""The picture shows what the records hold."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.planning import RESULTS
from lowmem_fold.bench.records import read_measurements
from plots.memory import PICTURE, curves, draw


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


def test_draws(tmp_path: Path) -> None:
    draw(curves(read_measurements(RESULTS)), tmp_path / "memory.png")
    assert (tmp_path / "memory.png").stat().st_size > 10_000
    assert PICTURE.exists()
