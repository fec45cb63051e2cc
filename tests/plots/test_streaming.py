"""The picture shows what the records hold, and they hold what the pages say."""

from __future__ import annotations

import json
from pathlib import Path

from lowmem_fold.bench.records import read_measurements
from plots.streaming import CAP_GB, PICTURE, RESULTS, draw, latest


def test_the_streamed_fold_keeps_within_the_cap() -> None:
    """And is the same fold. Read again without the code that the plot reads with."""
    records = {r["requested"]["way"]: r for r in map(json.loads, Path(RESULTS).read_text().splitlines())}
    assert list(records) == ["streamed", "resident", "stock"]
    held = {way: max(record["samples"]["anonymous_bytes"]) for way, record in records.items()}
    assert held["streamed"] < CAP_GB * 1e9 < 8e9 < min(held["resident"], held["stock"])
    assert records["streamed"]["resolved"]["outputs"] == records["resident"]["resolved"]["outputs"]
    assert {record["requested"]["length"] for record in records.values()} == {128}
    page = (Path(__file__).parents[2] / "README.md").read_text()
    said = "take {:.2f} GB of anonymous memory with streamed weights, {:.2f} GB resident, {:.2f} GB in transformers"
    assert said.format(*(size / 1e9 for size in held.values())) in " ".join(page.split())


def test_draws(tmp_path: Path) -> None:
    found = latest(list(read_measurements(RESULTS)))
    assert list(found) == ["streamed", "resident", "stock"]
    draw(found, tmp_path / "streaming.png")
    assert (tmp_path / "streaming.png").stat().st_size > 10_000
    assert PICTURE.exists()
