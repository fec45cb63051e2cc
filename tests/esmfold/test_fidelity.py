"""The engine against stock `EsmForProteinFolding` on the same weights."""

from __future__ import annotations

import pytest
import torch
from transformers import EsmForProteinFolding

from lowmem_fold.bench.fidelity import Compared, difference, differences, named, ours, stock
from lowmem_fold.bench.models import random_model, small_config
from lowmem_fold.esmfold.engine import FoldInput, fold_batch
from lowmem_fold.esmfold.published import esmfold_v1_config, random_record
from lowmem_fold.esmfold.trunk import FIRST_EDGE, LAST_EDGE, distance_bins, virtual_beta
from lowmem_fold.pair.tiles import Tiling
from tests.models import Pass, passes, small_model

FLOAT32 = {"pair_state": 1e-5}
OTHERS_FLOAT32 = 1e-4


def assert_equal(found: Compared, expected: Compared, tolerances: dict[str, float], other: float) -> None:
    for name, value in differences(found, expected).items():
        assert value < tolerances.get(name, other), name


def flipped_bins(found: torch.Tensor, expected: torch.Tensor) -> int:
    """How many recycled distance bins differ between two backbones (L, 3, 3); each has to lie on a boundary, where
    rounding decides."""
    betas = [virtual_beta(backbone) for backbone in (found, expected)]
    bins = [distance_bins(beta, slice(0, len(beta)), 15) for beta in betas]
    flips = (bins[0] != bins[1]).nonzero()
    edges = torch.linspace(FIRST_EDGE, LAST_EDGE, 14, dtype=betas[0].dtype)
    for i, j in flips:
        distance = (betas[1][i] - betas[1][j]).norm()
        assert (edges - distance).abs().min() < 1e-5 * betas[1].abs().max(), (i, j, distance)
    return len(flips)


@pytest.mark.parametrize(
    ("length", "num_recycles"), [(1, 4), (2, 1), (2, 4), (7, 0), (7, 4), (33, 2), (33, 4), (129, 3)]
)
def test_equals_stock(length: int, num_recycles: int) -> None:
    """In float32; if a bin flips between passes, which moves either implementation by 1e-2, in float64. The passes of
    a run with n recycles are the last ones of runs with 0 to n: each is compared."""
    model, record = small_model(), random_record(length, seed=length)
    *before_last, _ = all_passes = list(zip(*passes(model, record, num_recycles), strict=True))
    if not any(flipped_bins(found.positions[:, :3], expected.positions[:, :3]) for found, expected in before_last):
        assert_equal(ours(model, record, num_recycles), stock(model, record, num_recycles), FLOAT32, OTHERS_FLOAT32)
        check_passes(all_passes, torch.float32)
    else:
        double = small_model(torch.float64)
        assert_equal(ours(double, record, num_recycles), stock(double, record, num_recycles), {}, 1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_every_pass_equals_stock(dtype: torch.dtype) -> None:
    check_every_pass(dtype, 110, 2)


@pytest.mark.more
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_every_pass_equals_stock_where_rounding_flips_bins(dtype: torch.dtype) -> None:
    """At 300 residues: the last pass of a run with 0 to 4 recycles. In float32 up to the first bin that flips."""
    check_every_pass(dtype, 300, 4)


def check_every_pass(dtype: torch.dtype, length: int, num_recycles: int) -> None:
    record = random_record(length, seed=length)
    check_passes(list(zip(*passes(small_model(dtype), record, num_recycles), strict=True)), dtype)


def check_passes(all_passes: list[tuple[Pass, Pass]], dtype: torch.dtype) -> None:
    for found, expected in all_passes:
        for name in ("pair_state", "frames", "positions"):
            tolerance = 1e-12 if dtype == torch.float64 else FLOAT32.get(name, OTHERS_FLOAT32)
            assert difference(getattr(found, name), getattr(expected, name)) < tolerance, name
        if flipped_bins(found.positions[:, :3], expected.positions[:, :3]):
            assert dtype == torch.float32  # in float64 nothing is left for rounding to decide
            break


def test_equals_stock_at_300_residues() -> None:
    model, record = small_model(), random_record(300, seed=300)
    assert_equal(ours(model, record, 0), stock(model, record, 0), FLOAT32, OTHERS_FLOAT32)


def test_equals_stock_in_float64() -> None:
    """A faithful engine agrees to rounding; float32 casts within stock's rotations are kept."""
    model, record = small_model(torch.float64), random_record(129, seed=5)
    assert_equal(ours(model, record, 4), stock(model, record, 4), {}, 1e-12)


def test_flips_are_counted() -> None:
    """The count sees a bin that flips on its boundary, and refuses one that flips away from it."""
    found = torch.zeros(2, 3, 3)
    found[:, 0, 0], found[:, 2, 1] = -1.46, 1.52  # N and C about CA
    found[1, :, 2] = FIRST_EDGE * (1 - 1e-6)
    expected = found.clone()
    assert flipped_bins(found, expected) == 0
    expected[1, :, 2] = FIRST_EDGE * (1 + 1e-6)
    assert flipped_bins(found, expected) == 2
    expected[1, :, 2] = FIRST_EDGE * 1.01
    with pytest.raises(AssertionError):
        flipped_bins(found, expected)


def test_equals_stock_at_full_width() -> None:
    """ESMFold v1's own widths: 2560 and 40 heads in the stem, 1024 and 128 in the trunk; one layer, one block."""
    model, record = random_model(esmfold_v1_config(stem_layers=1, trunk_blocks=1)), random_record(40)
    assert_equal(ours(model, record, 1), stock(model, record, 1), FLOAT32, OTHERS_FLOAT32)


def test_every_layer_matters() -> None:
    """Each tensor of the weights changes the result, so that no comparison here is one of zeros."""
    model, record = random_model(small_config(), seed=1), random_record(9)
    reference = ours(model, record, 1)
    # The same for all keys of a query: softmax cancels them.
    without_effect = ("key.bias", "pair_to_sequence.layernorm.bias", "ipa.linear_b.bias")
    for name, parameter in model.named_parameters():
        if "lm_head" in name or "contact_head" in name or name.endswith(without_effect):
            continue
        saved = parameter.clone()
        parameter.mul_(1.5).add_(0.1)
        changed = ours(model, record, 1)
        parameter.copy_(saved)
        assert max(differences(changed, reference).values()) > 1e-4, name


TILINGS = [*(Tiling(n) for n in (1, 2, 5, 16, 64, 200)), *(Tiling(None, n, n) for n in (1, 2**16, 2**20))]


@pytest.mark.parametrize("tiling", TILINGS, ids=str)
def test_block_height_does_not_matter(tiling: Tiling) -> None:
    """To rounding: in float64 everywhere. In float32 too, where the random structure module does not blow it up."""
    double, record = small_model(torch.float64), random_record(67)
    assert_equal(ours(double, record, 1, tiling=tiling), ours(double, record, 1), {}, 1e-12)
    found, expected = (ours(small_model(), record, 1, **options) for options in ({"tiling": tiling}, {}))
    tight = dict.fromkeys(("pair_state", "distogram", "plddt", "ptm"), 1e-6)
    assert_equal(found, expected, tight, 1e-5)


def test_batch_equals_one_at_a_time() -> None:
    model, records = small_model(), [random_record(length, seed=length) for length in (31, 1, 12, 70)]
    outputs = fold_batch(model, records, num_recycles=2, keep_pair_state=True, keep_distogram=True)
    for record, output in zip(records, outputs, strict=True):
        assert_equal(named(output), ours(model, record, 2), {}, 1e-5)


def test_recycling_stops_when_nothing_moves() -> None:
    """Any change is below a huge tolerance, so that two passes run; a batch goes on with those that still move."""
    model, record = small_model(), random_record(30)
    stopped = fold_batch(model, [record], num_recycles=4, recycle_tolerance=1e6, keep_pair_state=True)[0]
    assert stopped.num_passes == 2
    assert difference(stopped.pair_state, ours(model, record, 1).pair_state) == 0
    going_on = fold_batch(model, [record], num_recycles=4, recycle_tolerance=1e-9)[0]
    assert going_on.num_passes == 5


def test_recycling_stops_for_each_record_of_a_batch() -> None:
    model, records = small_model(), [random_record(30, seed=1), random_record(41, seed=2), random_record(25, seed=3)]
    changes = [_change_of_last_pass(model, record) for record in records]
    tolerance = sorted(changes)[1] + 1e-6  # two of the three have settled after the second pass, one has not
    outputs = fold_batch(model, records, num_recycles=2, recycle_tolerance=tolerance)
    assert [output.num_passes for output in outputs] == [2 if change < tolerance else 3 for change in changes]


def _change_of_last_pass(model: EsmForProteinFolding, record: FoldInput) -> float:
    """Root mean square change of the CA distances between the first two passes, with no block and no loop."""
    positions = (ours(model, record, n).frames[:, 4:].double() for n in (0, 1))
    before, after = ((ca[:, None] - ca).norm(dim=-1) for ca in positions)
    return (after - before).pow(2).mean().sqrt().item()
