"""The picture shows what the records hold, and they hold what the pages say."""

from __future__ import annotations

import json
from pathlib import Path

from lowmem_fold.bench.records import read_measurements
from plots.streaming import CAP_GB, RESULTS, draw, latest
from tests.plots.drawn import figure_of


def test_the_streamed_fold_keeps_within_the_cap() -> None:
    """And is the same fold. Read again without the code that the plot reads with."""
    records = {r["requested"]["way"]: r for r in map(json.loads, Path(RESULTS).read_text().splitlines())}
    assert list(records) == ["streamed", "resident", "stock"]
    held = {way: max(record["samples"]["anonymous_bytes"]) for way, record in records.items()}
    assert held["streamed"] < CAP_GB * 1e9 < 8e9 < min(held["resident"], held["stock"])
    assert records["streamed"]["resolved"]["outputs"] == records["resident"]["resolved"]["outputs"]
    assert {record["requested"]["length"] for record in records.values()} == {128}
    page = (Path(__file__).parents[2] / "docs" / "memory.md").read_text()
    said = "take {:.2f} GB of memory (RAM) with streamed weights, {:.2f} GB resident, {:.2f} GB in transformers"
    assert said.format(*(size / 1e9 for size in held.values())) in " ".join(page.split())


def test_each_panel_is_a_way() -> None:
    found = latest(read_measurements(RESULTS))
    assert list(found) == ["streamed", "resident", "stock"]
    for axes, measurement in zip(figure_of(draw, found).axes, found.values(), strict=True):
        seconds, held = axes.lines[0].get_data()
        assert list(seconds) == measurement.samples["seconds"]
        assert [round(size * 1e9) for size in held] == measurement.samples["anonymous_bytes"]


def test_time_and_memory_have_the_same_axes() -> None:
    """So that a gigabyte is as tall in each panel, and a second as wide; nothing is cut off."""
    found = latest(read_measurements(RESULTS))
    panels = figure_of(draw, found).axes
    assert len({(axes.get_xlim(), axes.get_ylim()) for axes in panels}) == 1
    assert panels[0].get_xlim()[1] == max(m.samples["seconds"][-1] for m in found.values())
    assert panels[0].get_ylim()[1] * 1e9 > max(max(m.samples["anonymous_bytes"]) for m in found.values())
