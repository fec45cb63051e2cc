"""The picture of the training shows what its log holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from plots import training
from tests.plots.drawn import figure_of, points_of


def _log(path: Path) -> Path:
    lines = [
        {"kind": "start", "step": 0, "minutes": 0.0},
        {"kind": "train", "step": 20, "minutes": 1.0, "fape": 2.0},
        {"kind": "start", "step": 20, "minutes": 1.0},  # taken up again
        {"kind": "train", "step": 40, "minutes": 3.0, "fape": 1.5},
        {"kind": "validation", "step": 40, "minutes": 3.0, "recycles": 0, "fape": 9.0},
        {"kind": "validation", "step": 40, "minutes": 3.0, "recycles": 2, "fape": 1.6},
        {"kind": "start", "step": 0, "minutes": 0.0},  # another run, from these weights
        {"kind": "train", "step": 20, "minutes": 0.5, "fape": 1.4, "chi": 1.1},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_minutes_are_counted_on(tmp_path: Path) -> None:
    records = training.read_log(_log(tmp_path / "log.jsonl"))
    assert training.series(records, "fape", "train") == ([1.0, 3.0, 3.5], [2.0, 1.5, 1.4])
    assert training.series(records, "fape", "validation") == ([3.0], [1.6])
    assert training.series(records, "chi", "train") == ([3.5], [1.1])


@pytest.mark.parametrize("name", ["distogram", "chi"])
def test_the_shipped_log_is_drawn_whole(name: str) -> None:
    _, values = training.series(training.read_log(), name, "train")
    lines = [json.loads(line) for line in training.LOG.read_text().splitlines()]
    assert values == [line[name] for line in lines if line["kind"] == "train" and name in line]
    assert len(values) > 100


def test_lines_are_the_series(tmp_path: Path) -> None:
    records = training.read_log(_log(tmp_path / "log.jsonl"))
    panels = {axes.get_title(loc="left") or axes.get_title(): axes for axes in figure_of(training.draw, records).axes}
    assert points_of(panels["frame-aligned point error / 10 Å"]) == {
        "train": [(1.0, 2.0), (3.0, 1.5), (3.5, 1.4)],
        "validation": [(3.0, 1.6)],
    }
