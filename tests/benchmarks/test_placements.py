"""The placements are measured, and what does not fit is a result."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from benchmarks import placements, stand_in, streaming
from lowmem_fold.bench.models import small_config
from lowmem_fold.bench.records import read_measurements

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="RssAnon is told by Linux alone")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "stand-in"
    stand_in.write(path, small_config())
    return path


@pytest.mark.parametrize("way", ["resident", "streamed", "accelerate"])
def test_each_way_is_measured(folder: Path, tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["--ways", way, "--lengths", "9", "17", "--repeats", "2", "--out", str(tmp_path / "records.jsonl")]
    monkeypatch.setattr(sys, "argv", ["placements", str(folder), *arguments])
    placements.main()
    found = list(read_measurements(tmp_path / "records.jsonl"))
    assert [m.requested["length"] for m in found] == [9, 17]
    for measurement in found:
        phases = ("fold",) if way == "accelerate" else ("stem", "trunk")
        assert set(measurement.samples) == {f"{p}_{unit}" for p in phases for unit in ("seconds", "peak_bytes")}
        assert all(len(values) == 2 for values in measurement.samples.values())


def test_want_of_memory_is_recorded(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def short(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried\nmore")

    arguments = ["--ways", "resident", "--lengths", "9", "--out", str(tmp_path / "records.jsonl")]
    monkeypatch.setattr(sys, "argv", ["placements", str(folder), *arguments])
    monkeypatch.setattr(placements, "_seconds", short)
    placements.main()
    (measurement,) = read_measurements(tmp_path / "records.jsonl")
    assert (measurement.status, measurement.reason) == ("oom", "stem: CUDA out of memory. Tried")


def test_every_way_of_streaming_gives_the_same_fold(folder: Path) -> None:
    found = {way: streaming.measure(str(folder), way) for way in streaming.WAYS}
    outputs = {way: measurement.resolved["outputs"] for way, measurement in found.items()}
    assert outputs["streamed"] == outputs["resident"]
    for name, value in outputs["resident"].items():
        assert outputs["stock"][name] == pytest.approx(value, rel=1e-3), name
    assert list(found["streamed"].resolved["phases"]) == ["import", "load", "stem", "trunk"]
