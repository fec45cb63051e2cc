"""Prices are recovered from what they were made of, and a calibration comes back from the cache where it holds."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import nnls

from lowmem_fold.bench.models import small_config
from lowmem_fold.esmfold.family import FAMILY
from lowmem_fold.esmfold.published import esmfold_v1_config
from lowmem_fold.esmfold.work import FUNCTIONS, Widths
from lowmem_fold.families.interface import Work
from lowmem_fold.pair.tiles import Tiling
from lowmem_fold.planning import calibration, timing
from lowmem_fold.planning.calibration import Calibration, cached, calibrate, fitted
from lowmem_fold.system.cache import cache_folder, write_json
from tests.models import small_model

LENGTHS = (16, 64, 192)
# About what one core of a server takes.
PRICES = {"calls": 8e-6, "weights": 3e-10, "projections": 2.5e-11, "contractions": 4e-11, "numbers": 3e-10}
LEAST = {"projections": 2e-11, "contractions": 2e-11}


def works(name: str, lengths: tuple[int, ...]) -> list[Work]:
    widths = [Widths.of(config.to_dict()) for config in (esmfold_v1_config(1, 1), small_config())]
    return [FUNCTIONS[name](each, length, Tiling()) for length in lengths for each in widths]


def taken(work: Work, overlapped: bool) -> float:
    parts = {term: PRICES[term] * amount for term, amount in work.terms().items()}
    starting = parts.pop("calls")
    return max(starting, sum(parts.values())) if overlapped else starting + sum(parts.values())


def of_prices(prices: dict[str, float], device_type: str) -> Calibration:
    return Calibration(device_type, {}, 1, 4 * 2**20, {}, {"it": prices}, {}, [])


@pytest.mark.parametrize("overlapped", [False, True], ids=["cpu", "gpu"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_other_lengths_are_predicted(name: str, overlapped: bool) -> None:
    """From seconds without noise, those of lengths far from them, in both widths."""
    given = works(name, (*LENGTHS, 384, 768) if overlapped else LENGTHS)  # a GPU gets further in the same time
    prices = fitted(given, [taken(work, overlapped) for work in given], LEAST, (), overlapped)
    found = of_prices(prices, "cuda" if overlapped else "cpu")
    for work in works(name, (32, 128, 512, 2048)):
        assert found.seconds("it", work) == pytest.approx(taken(work, overlapped), rel=0.05 if overlapped else 1e-3)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_noise_is_not_amplified(name: str) -> None:
    """Twice the length that was timed, with seconds that are up to 10 % too long."""
    little = name in FAMILY.cost.little_attention
    least, settled = ({**LEAST, "contractions": PRICES["contractions"]}, ("contractions",)) if little else (LEAST, ())
    for seed in range(5):
        noise = np.random.default_rng(seed)
        given = works(name, LENGTHS)
        seconds = [taken(work, False) * noise.uniform(1, 1.1) for work in given]
        found = of_prices(fitted(given, seconds, least, settled, False), "cpu")
        for work in works(name, (32, 128, 384)):
            assert found.seconds("it", work) == pytest.approx(taken(work, False), rel=0.25)


def test_products_are_never_cheaper_than_the_least() -> None:
    given = works("triangle_attention", LENGTHS)
    found = fitted(given, [1e-6 * work.calls for work in given], LEAST, (), False)
    assert {term: found[term] for term in LEAST} == LEAST


def test_the_fit_is_that_of_scipy() -> None:
    generator = np.random.default_rng(1)
    for _ in range(20):
        rows, target = generator.normal(size=(6, 4)), generator.normal(size=6)
        rows[:, 2] = 0
        scale = 10.0 ** np.arange(-8, 8, 4)
        expected, _ = nnls(rows, target)
        np.testing.assert_allclose(calibration._non_negative(rows * scale, target) * scale, expected, atol=1e-9)


@pytest.mark.parametrize(
    ("last", "turn_seconds", "left", "expected"),
    [
        (0, 0.0, 7.0, 16),
        (16, 100.0, -90.0, 64),
        (64, 0.1, 7.0, 192),
        (64, 1.0, 5.0, 96),
        (64, 1.0, 1.0, None),
        (192, 0.01, 5.0, 384),
        (768, 0.0, 5.0, None),
    ],
    ids=["first", "second, in any case", "far", "near", "no time", "on", "end"],
)
def test_lengths_are_added_while_there_is_time(
    last: int, turn_seconds: float, left: float, expected: int | None
) -> None:
    assert calibration._next_length(last, turn_seconds, left) == expected


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Small models and matrices, and a cache of one's own."""
    monkeypatch.setenv("LOWMEM_FOLD_CACHE", str(tmp_path))
    monkeypatch.setattr(type(FAMILY.cost), "probes", lambda *_: {("small", "fp32"): small_model()})
    monkeypatch.setattr(calibration, "BUDGET_SECONDS", 0)
    monkeypatch.setattr(calibration, "LENGTHS", (5, 9))
    for name, value in {"MATRIX": (128, 256), "_SIDE": 32, "_LONG": 32, "_COPIED_BYTES": 2**16}.items():
        monkeypatch.setattr(timing, name, value)
    yield


@pytest.mark.usefixtures("quick")
def test_a_calibration_is_kept() -> None:
    assert cached("cpu", FAMILY) is None
    found = calibrate("cpu", FAMILY)
    assert cached(torch.device("cpu"), FAMILY) == found
    assert {(sample["function"], sample["length"]) for sample in found.samples} == {
        (name, length) for name in FUNCTIONS for length in (5, 9)
    }
    assert found.prices.keys() == FUNCTIONS.keys()
    assert all(price >= 0 for prices in found.prices.values() for price in prices.values())
    assert found.rates.keys() == {"fp32", "attention", "triangle", "copy"}
    assert {"fp32/fp32", "int8/fp32", "bnb-nf4/fp32"} <= found.stored.keys()
    assert found.spread >= 1
    sample = found.samples[0]
    widths = Widths.of(small_model().config.to_dict())
    assert sample["work"] == FUNCTIONS[sample["function"]](widths, sample["length"], Tiling()).terms()


@pytest.mark.usefixtures("quick")
def test_another_number_of_threads_is_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    calibrate("cpu", FAMILY)
    with monkeypatch.context() as changed:
        changed.setenv("OMP_NUM_THREADS", "77")
        assert cached("cpu", FAMILY) is None
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        assert cached("cpu", FAMILY) is None
    finally:
        torch.set_num_threads(threads)
    assert cached("cpu", FAMILY) is not None


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "changes",
    [
        {"schema_version": 0},
        {"prices": {}},
        {"prices": None},
        {"unknown": 1},
        {"facts": {"device": "cpu", "cpu": "another"}},
        {"facts": 5},
        {"rates": None},
    ],
    ids=["schema", "functions", "nothing", "unknown", "machine", "facts", "rates"],
)
def test_what_is_no_calibration_counts_as_absent(changes: dict) -> None:
    value = asdict(calibrate("cpu", FAMILY))
    (path,) = cache_folder().iterdir()
    write_json(path.stem, value)
    assert cached("cpu", FAMILY) is not None
    write_json(path.stem, {**value, **changes})
    assert cached("cpu", FAMILY) is None
    write_json(path.stem, [1, 2])
    assert cached("cpu", FAMILY) is None


@pytest.mark.usefixtures("quick")
def test_a_calibration_with_another_number_counts_as_absent() -> None:
    calibrate("cpu", FAMILY)
    (path,) = cache_folder().iterdir()
    kept = json.loads(path.read_text())
    kept["value"]["rates"]["copy"] *= 2
    path.write_text(json.dumps(kept))
    assert cached("cpu", FAMILY) is None


@pytest.mark.usefixtures("quick")
def test_it_is_found_without_torch() -> None:
    calibrate("cpu", FAMILY)
    program = """
import sys
from lowmem_fold.esmfold.family import FAMILY
from lowmem_fold.families.interface import Work
from lowmem_fold.planning.calibration import cached
found = cached("cpu", FAMILY)
sys.exit(found is None or found.seconds("stem", Work(calls=1)) < 0 or "torch" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_the_spread_is_that_of_the_turns() -> None:
    samples = [{"seconds": [1.0, 2.0, 1.5]}, {"seconds": [2.0, 2.0]}, {"seconds": [4.0, 5.0]}]
    assert replace(of_prices({}, "cpu"), samples=samples).spread == 1.25


@pytest.mark.parametrize(
    ("few", "many", "expected"),
    [(32 * 2e-11 + 1e-9, 160 * 2e-11 + 1e-9, [1e-9, 2e-11]), (2e-9, 1e-9, [2e-9, 0]), (0.0, 1e-9, [0, 0])],
    ids=["line", "falling", "steeper than the first"],
)
def test_a_line_through_two(few: float, many: float, expected: list[float]) -> None:
    assert calibration._of_two(32, 160, few, many) == pytest.approx(expected)


@pytest.mark.gpu
def test_a_gpu_is_calibrated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOWMEM_FOLD_CACHE", str(tmp_path))
    found = calibrate("cuda", FAMILY)
    assert cached("cuda", FAMILY) == found
    assert {"stem", "stem/fp16"} <= found.prices.keys()
    assert "int8/fp16" in found.stored
