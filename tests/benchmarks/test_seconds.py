"""What the benchmark calls a fold is a fold."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import seconds
from lowmem_fold.bench.models import small_config
from lowmem_fold.bench.records import Measurement, append_measurement, read_measurements
from tests.planning.test_seconds import IN_PLACE, calibration


def small(stem_layers: int = 36, trunk_blocks: int = 48) -> Any:
    config = small_config()
    config.num_hidden_layers, config.esmfold_config.trunk.num_blocks = stem_layers, trunk_blocks
    return config


def multiply_adds(call: Callable[[], Any], device: torch.device) -> float:
    with FlopCounterMode(display=False, custom_mapping=IN_PLACE) as counter, sdpa_kernel(SDPBackend.MATH):
        call()
    return counter.get_total_flops() / 2


def test_parts_add_up_to_a_fold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With a second for each multiply-add, predicted and measured are counted independently and have to agree."""
    prices = calibration(projections=1.0, contractions=1.0)
    samples = [{"length": 16, "seconds": [1.0, 1.5]}]
    prices = replace(prices, samples=samples, stored={key: [0.0, 0.0] for key in prices.stored})
    monkeypatch.setattr(seconds, "calibrate", lambda device, family: prices)
    monkeypatch.setattr(seconds, "esmfold_v1_config", small)
    monkeypatch.setattr(seconds, "seconds_of", multiply_adds)
    monkeypatch.setattr(seconds, "TURNS", 1)
    found = list(seconds.measurements(torch.device("cpu"), (9, 30)))
    assert {m.requested["model"] for m in found} == {"demo", "esmfold_v1, random weights"}
    for measurement in found:
        assert seconds.ratio(measurement) == pytest.approx(1, rel=0.005)
        append_measurement(tmp_path / "seconds.jsonl", measurement)
    assert read_measurements(tmp_path / "seconds.jsonl") == found


def test_the_ratio_is_of_medians() -> None:
    samples = {"a_seconds": [1.0, 9.0, 2.0], "b_seconds": [5.0, 5.0, 0.0], "predicted_seconds": [12.0]}
    resolved = {"times": {"a": 3, "b": 2}, "calibration_seconds": 9.5, "spread": 1.0}
    measurement = Measurement("seconds", {"model": "m", "precision": "fp32", "length": 7}, resolved, {}, samples)
    assert seconds.fold_seconds(measurement) == 3 * 2 + 2 * 5
    assert seconds.ratio(measurement) == 0.75
    assert "ratio 0.75" in seconds.report(measurement)


def test_the_page_of_limits_says_what_was_recorded() -> None:
    ratios = [seconds.ratio(m) for m in read_measurements(seconds.RESULTS) if m.benchmark == "seconds"]
    worst = max(max(r, 1 / r) for r in ratios) - 1
    page = (Path(__file__).parents[2] / "docs" / "limits.md").read_text()
    (said,) = re.findall(r"Predicted times were within (\d+) %", page)
    assert len(ratios) >= 8 and worst <= int(said) / 100 < 0.25
