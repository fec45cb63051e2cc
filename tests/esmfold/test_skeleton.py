"""Peaks on tensors without bytes are those of the engine's whole run, and of the allocator."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch

from lowmem_fold.bench.models import random_model, small_config
from lowmem_fold.checkpoints.checkpoint import Checkpoint
from lowmem_fold.checkpoints.loader import load_model
from lowmem_fold.esmfold.engine import fold_batch
from lowmem_fold.esmfold.modules import ESMFOLD
from lowmem_fold.esmfold.peaks import FakeESMFold
from lowmem_fold.esmfold.published import esmfold_v1_config, random_record
from lowmem_fold.esmfold.skeleton import Skeleton
from lowmem_fold.memory.allocator import allocator_peak_bytes
from lowmem_fold.pair.storage import PairStorage
from lowmem_fold.pair.tiles import Tiling
from lowmem_fold.precision import Precision, parse_precision
from lowmem_fold.quantization.formats import DTYPES

CPU = torch.device("cpu")
CONFIGS = {"small": small_config(), "v1": esmfold_v1_config(2, 2)}


@cache
def skeleton(name: str) -> Skeleton:
    return Skeleton(CONFIGS[name].to_dict())


@pytest.fixture(scope="module")
def fake() -> FakeESMFold:
    return FakeESMFold()


@pytest.mark.parametrize("length", [64, 300, 1024])
def test_peak_is_that_of_the_whole_run_on_fake_tensors(fake: FakeESMFold, length: int) -> None:
    """Which has two layers, two blocks, eight iterations of the structure module, and both passes whole."""
    found = skeleton("v1").activations(length, Precision(), Tiling())
    assert max(found.values()) == pytest.approx(fake.peak_bytes(length), rel=0.002)


def test_half_of_the_pair_state(fake: FakeESMFold) -> None:
    storage = PairStorage(torch.float16, torch.float16)
    found = skeleton("v1").activations(1024, parse_precision("pair=fp16").resolve(CPU), Tiling())
    assert found["trunk"] == pytest.approx(fake.peak_bytes(1024, storage=storage), rel=0.002)


def test_one_pass_holds_no_structure_of_another() -> None:
    one, several, more = (skeleton("v1").activations(64, Precision(), Tiling(), n) for n in (0, 1, 3))
    assert one["trunk"] < several["trunk"] and several == more


@cache
def loaded(folder: Path, precision: Precision) -> torch.nn.Module:
    return load_model(Checkpoint("test", folder), precision, CPU, ESMFOLD)


Folders = Callable[[str], Path]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    @cache
    def made(name: str) -> Path:
        folder = tmp_path_factory.mktemp(name)
        random_model(CONFIGS[name]).save_pretrained(folder)
        return folder

    return made


@pytest.mark.parametrize("precision", ["fp32", "int8", "bnb-nf4", "pair=fp16"])
@pytest.mark.parametrize(
    ("name", "length"), [("small", 40), ("small", 200), pytest.param("v1", 90, marks=pytest.mark.more)]
)
def test_within_five_percent_of_the_allocator(folders: Folders, name: str, precision: str, length: int) -> None:
    """Weights count in a budget, and so they do here."""
    resolved = parse_precision(precision).resolve(CPU)
    model, record, tiling = loaded(folders(name), resolved), random_record(length), Tiling.for_device(CPU)
    storage = PairStorage(DTYPES[resolved.pair], DTYPES[resolved.operand or resolved.pair])
    fold_batch(model, [record], num_recycles=0, tiling=tiling)  # makes tables that stay

    def fold() -> object:
        return fold_batch(model, [record], num_recycles=1, tiling=tiling, storage=storage)

    weights = sum(t.nbytes for t in (*model.parameters(), *model.buffers()))
    found = skeleton(name).activations(length, resolved, tiling, 1)
    planned = weights + max(found.values())
    assert planned == pytest.approx(weights + allocator_peak_bytes(fold), rel=0.05)
