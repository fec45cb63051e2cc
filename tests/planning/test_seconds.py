"""A prediction is the work of a real fold at the prices given, and what is waited for."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode, bmm_flop, mm_flop

from lowmem_fold.bench.models import random_model, small_config
from lowmem_fold.esmfold.engine import fold_batch
from lowmem_fold.esmfold.family import FAMILY
from lowmem_fold.esmfold.published import esmfold_v1_config, random_record
from lowmem_fold.esmfold.work import FUNCTIONS
from lowmem_fold.families.interface import Work
from lowmem_fold.planning.calibration import Calibration
from lowmem_fold.planning.seconds import Seconds, predict_seconds
from lowmem_fold.precision import Part, Precision, parse_precision
from lowmem_fold.residency.placements import WeightLayout

# What torch's counter leaves out
IN_PLACE = {
    torch.ops.aten.addmm_: lambda out, a, b, **_: mm_flop(a, b),
    torch.ops.aten.baddbmm_: lambda out, a, b, **_: bmm_flop(a, b),
}
FREE = dict.fromkeys(Work().terms(), 0.0)
LAYOUT = WeightLayout(10, stem=(30, 30, 30), trunk=(50, 50), stem_converted=(6, 6, 6), trunk_converted=(4, 4))
CONFIG = small_config().to_dict()


def calibration(device_type: str = "cpu", **prices: float) -> Calibration:
    """Where all functions have the same prices, other quantities are free, and a byte takes a second to arrive."""
    of_all = dict.fromkeys(FUNCTIONS, FREE | prices)
    stored = {"fp32/fp32": [0.0, 0.0], "int8/fp32": [2.0, 0.0], "int8/fp16": [7.0, 3.0], "fp16/fp16": [1.0, 1.0]}
    return Calibration(device_type, {}, 1, 4 * 2**20, {"copy": 1.0}, of_all, stored, [])


def predicted(found: Calibration | None, length: int = 20, num_recycles: int = 0, **options: object) -> Seconds | None:
    chosen = {"precision": Precision(), "placement": "resident", "layout": LAYOUT, "config": CONFIG} | options
    return predict_seconds(FAMILY, length=length, num_recycles=num_recycles, calibration=found, **chosen)  # type: ignore[arg-type]


def seconds(*arguments: object, **options: object) -> Seconds:
    found = predicted(*arguments, **options)  # type: ignore[arg-type]
    assert found is not None
    return found


def wide_config() -> object:
    """The width of ESMFold v1 in the pair state alone: there it counts."""
    config = small_config()
    config.esmfold_config.trunk.pairwise_state_dim = 128
    config.esmfold_config.trunk.num_blocks = 3
    return config


@pytest.mark.parametrize("length", [11, 70])
@pytest.mark.parametrize("num_recycles", [0, 2])
@pytest.mark.parametrize("config", [small_config(), wide_config()], ids=["small", "wider pairs"])
def test_the_multiply_adds_of_a_fold(config: object, num_recycles: int, length: int) -> None:
    """At a second a multiply-add, a fold takes as many as torch counts in one."""
    model, record = random_model(config), random_record(length)  # type: ignore[arg-type]
    with FlopCounterMode(display=False, custom_mapping=IN_PLACE) as counter, sdpa_kernel(SDPBackend.MATH):
        fold_batch(model, [record], num_recycles=num_recycles)
    found = calibration(projections=1.0, contractions=1.0)
    total = seconds(found, length, num_recycles, config=config.to_dict()).total  # type: ignore[attr-defined]
    assert total == pytest.approx(counter.get_total_flops() / 2, rel=0.005)


def test_passes_and_blocks() -> None:
    found = calibration(numbers=1.0)
    one, two, four = (seconds(found, num_recycles=n) for n in (0, 1, 3))
    assert one.stem == two.stem
    assert four.trunk - two.trunk == pytest.approx(2 * (two.trunk - one.trunk))
    config = esmfold_v1_config(36, 48).to_dict()
    deep, deeper = (seconds(found, config=replaced(config, n)) for n in (48, 96))
    shallow = seconds(found, config=replaced(config, 24))
    assert deeper.trunk - deep.trunk == pytest.approx(2 * (deep.trunk - shallow.trunk))


def replaced(config: dict, blocks: int) -> dict:
    folding = config["esmfold_config"]
    return {**config, "esmfold_config": {**folding, "trunk": {**folding["trunk"], "num_blocks": blocks}}}


def test_starting_operations_is_hidden_on_a_gpu_alone() -> None:
    calls, numbers = (seconds(calibration(**{term: 1.0})).total for term in ("calls", "numbers"))
    assert seconds(calibration(calls=1.0, numbers=1.0)).total == pytest.approx(calls + numbers)
    assert seconds(calibration("cuda", calls=1.0, numbers=1.0)).total < calls + numbers


@pytest.mark.parametrize(
    ("device_type", "placement", "copies", "window_copies"),
    [
        ("cpu", "resident", 0, 0),
        ("cpu", "staged", 0, 3 * 6 + 2 * 4),
        ("cpu", "streamed", 3 * 2 * 4, 3 * 6),
        ("cuda", "resident", 0, 0),
        ("cuda", "staged", 0, 3 * 30 + 2 * 50),
        ("cuda", "streamed", 3 * 2 * 50, 3 * 30),
    ],
)
def test_copies_that_nothing_hides(device_type: str, placement: str, copies: float, window_copies: float) -> None:
    """With arithmetic that takes no time; three passes."""
    found = seconds(calibration(device_type), num_recycles=2, placement=placement)
    assert found == Seconds(0, 0, copies, window_copies)
    assert found.total == copies + window_copies


def test_copies_hide_behind_blocks_of_a_gpu() -> None:
    found = calibration("cuda", calls=1.0)
    block = seconds(found).trunk
    layout = replace(LAYOUT, trunk=(10, 10))
    assert block > 10  # each block's calls take longer than its copy
    assert seconds(found, placement="streamed", layout=layout).copies == 10  # the first hides nowhere


def test_unpacking_takes_its_time() -> None:
    found = calibration()
    stem_weights, track_weights = 3 * (4 * 64**2 + 2 * 64 * 96), 2 * 13 * 96**2
    assert seconds(found, precision=Precision(stem=Part("int8", "fp32"))).total == pytest.approx(2 * stem_weights)
    int8 = parse_precision("int8").resolve(torch.device("cpu"))
    both = seconds(found, num_recycles=3, precision=int8)
    assert (both.stem, both.trunk) == (pytest.approx(2 * stem_weights), pytest.approx(4 * 2 * track_weights))


def test_a_stem_in_half_precision_has_its_own_prices() -> None:
    found = calibration("cuda", calls=1.0)
    half = Precision(stem=Part("fp16", "fp16"))
    assert predicted(found, precision=half) is None
    prices = {**found.prices, "stem/fp16": FREE | {"calls": 5.0}}
    found = replace(found, prices=prices)
    assert seconds(found, precision=half).stem == 5 * seconds(found).stem
    int8 = seconds(found, precision=Precision(stem=Part("int8", "fp16")))
    stem_weights, tokens = 3 * (4 * 64**2 + 2 * 64 * 96), 20 + 2
    assert int8.stem == pytest.approx(5 * seconds(found).stem + stem_weights * ((7 - 1) + tokens * (3 - 1)))


@pytest.mark.parametrize(
    "precision", [Precision(stem=Part("int4", "fp32")), Precision(trunk=Part("bf16", "bf16"))], ids=["stem", "trunk"]
)
def test_nothing_is_guessed(precision: Precision) -> None:
    assert predicted(None) is None
    assert predicted(calibration(), precision=precision) is None


def test_torch_is_not_needed() -> None:
    program = "import sys, lowmem_fold.planning.seconds; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2]).returncode == 0
