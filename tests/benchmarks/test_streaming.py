"""Each way of a fold in little memory gives the same result."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import streaming


def test_every_way_gives_the_same_fold(small_stand_in: Path) -> None:
    found = {way: streaming.measure(str(small_stand_in), way) for way in streaming.WAYS}
    outputs = {way: measurement.resolved["outputs"] for way, measurement in found.items()}
    assert outputs["streamed"] == outputs["resident"]
    for name, value in outputs["resident"].items():
        assert outputs["stock"][name] == pytest.approx(value, rel=1e-3), name
    assert list(found["streamed"].resolved["phases"]) == ["import", "load", "stem", "trunk"]
