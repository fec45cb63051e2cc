from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

import lowmem_fold as lf
from lowmem_fold.checkpoints.checkpoint import find_checkpoint
from lowmem_fold.checkpoints.inventory import inventory
from lowmem_fold.checkpoints.loader import load_model
from lowmem_fold.errors import InputError, ModelError
from lowmem_fold.esmfold.family import FAMILY
from lowmem_fold.esmfold.modules import ESMFOLD
from lowmem_fold.esmfold.published import esmfold_v1_config
from lowmem_fold.esmfold.skeleton import Skeleton
from lowmem_fold.memory.reserve import reserve_bytes
from lowmem_fold.planning import facts as facts_module
from lowmem_fold.planning.facts import FactSource, _PublishedFiles
from lowmem_fold.planning.longest import longest
from lowmem_fold.planning.plan import Plan, Planner, Plans
from lowmem_fold.precision import PRESETS, Precision, parse_precision
from lowmem_fold.residency import PLACEMENTS, weight_layout

GIB = 2**30
FEW_BYTES = 4 + 40 * 4


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory):
    """Of this module alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOWMEM_FOLD_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def v1(length: int, memory: str | int | None, **options) -> Plans:
    return lf.plan(length, memory, device="cuda", **options)


def by_name(plans: Plans) -> dict[tuple[str, str], Plan]:
    return {(each.precision, each.placement): each for each in plans.plans}


def test_every_placement_of_every_preset_is_weighed() -> None:
    plans = v1(400, "24GB", precision="fp16")
    assert set(by_name(plans)) == {(precision, placement) for precision in PRESETS for placement in PLACEMENTS}
    assert [(each.precision, each.placement) for each in plans.plans[:3]] == [("fp16", p) for p in PLACEMENTS]


def test_a_budget_takes_the_fastest_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Planner, "longest", lambda self, precision: 0)  # sought where nothing fits: a test below
    plans = v1(400, "1TB", precision="fp16")
    needed = [by_name(plans)["fp16", placement].needed_bytes for placement in PLACEMENTS]
    assert needed == sorted(needed, reverse=True) and len(set(needed)) == 3
    for placement, budget in zip(PLACEMENTS, needed, strict=True):
        chosen = v1(400, budget, precision="fp16").chosen
        assert chosen is not None and (chosen.precision, chosen.placement) == ("fp16", placement)
        smaller = v1(400, budget - 1, precision="fp16").chosen
        assert smaller is None or smaller.placement != placement
    assert v1(400, needed[2] - 1, precision="fp16").chosen is None


def test_the_peak_is_that_of_the_phase_that_needs_most() -> None:
    """Staged, with short proteins, that is the stem: its weights outweigh the trunk's activations."""
    plans = by_name(v1(64, "80GB"))
    config = FAMILY.published_config()
    layout = weight_layout(Skeleton(config)._model(Precision()), _PublishedFiles(ESMFOLD, config))
    stem, trunk = layout.fixed + 36 * layout.stem[0], layout.fixed + 48 * layout.trunk[0]
    assert plans["fp32", "staged"].phase == "stem" and plans["fp32", "staged"].weight_bytes == stem
    found = by_name(v1(3600, "80GB"))["fp32", "staged"]
    assert found.phase == "trunk" and found.weight_bytes == trunk
    assert found.peak_bytes == pytest.approx(trunk + 2.08 * 512 * 3600**2, rel=0.02)
    assert found.host_bytes == stem + trunk - 2 * layout.fixed


@pytest.mark.parametrize(
    "name",
    [name if name in ("fp16", "int8") else pytest.param(name, marks=pytest.mark.more) for name in PRESETS],
)
def test_the_skeleton_weighs_what_the_whole_model_does(name: str) -> None:
    """At each preset: the bytes of 36 layers and 48 blocks, each with its own shapes; but for two numbers a layer, the
    weight of its state in the mix and of each of its 40 heads in the contacts."""
    config = esmfold_v1_config().to_dict()
    source = FactSource("facebook/esmfold_v1", "cuda", 3)
    (found,) = source.at(32, [name]).values()
    resolved = parse_precision(name).resolve(torch.device("cuda"))
    # With a glob, even one that leaves out nothing, the skeleton is the whole model.
    whole = Skeleton(config).planned(parse_precision(f"{resolved},include=*"))
    missing = inventory(whole)["total"]["bytes"] - found.placements["resident"].phases["trunk"]
    assert 0 < missing <= FEW_BYTES * 35


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_weights_are_those_of_the_loaded_model(precision: str) -> None:
    """The demo model, whose stem is stored in half precision."""
    plans = by_name(lf.plan(50, "1GB", model="demo", device="cpu", precision=precision))
    resolved = parse_precision(precision).resolve(torch.device("cpu"))
    model = load_model(find_checkpoint("demo"), resolved, torch.device("cpu"), ESMFOLD)
    whole = inventory(model)["total"]["bytes"]
    assert plans[precision, "resident"].weight_bytes == pytest.approx(whole, abs=500)


def test_a_layer_told_apart_by_its_name_counts() -> None:
    source = FactSource("facebook/esmfold_v1", "cuda", 3)
    globbed = "int8,exclude=esm.encoder.layer.0.*,exclude=trunk.blocks.7.*"
    plain, found = source.at(300, ["int8", globbed]).values()
    difference = found.placements["resident"].phases["stem"] - plain.placements["resident"].phases["stem"]
    layer = 4 * 2560**2 + 2 * 2560 * 10240
    assert difference == pytest.approx(3 * layer + 3 * 13.6e6, rel=0.02)
    assert found.activations["trunk"] >= plain.activations["trunk"] * 0.99


def test_the_cpu_holds_nothing_beside_itself() -> None:
    plans = by_name(lf.plan(50, "1GB", model="demo", device="cpu"))
    assert all(each.host_bytes == 0 for each in plans.values())
    assert plans["int8", "streamed"].refusal is not None and not plans["int8", "streamed"].possible
    assert "lowmem-fold quantize" in plans["int8", "streamed"].refusal
    assert plans["fp32", "streamed"].peak_bytes < plans["fp32", "resident"].peak_bytes


def test_host_memory_is_a_budget_where_weights_cannot_wait_in_the_file() -> None:
    """Those quantized at loading can not."""
    plans = by_name(v1(300, "4GB", host_memory="1GB"))
    assert plans["int8", "staged"].refusal == "needs 3.37 GiB of host memory"
    assert plans["fp32", "streamed"].refusal is None


def test_as_much_host_memory_as_is_needed_is_enough() -> None:
    host = by_name(v1(300, "4GB"))["int8", "staged"].host_bytes
    enough, less = (by_name(v1(300, "4GB", host_memory=size))["int8", "staged"].refusal for size in (host, host - 1))
    assert enough is None and less is not None


def test_without_a_fit_says_what_would() -> None:
    plans = v1(3000, "8GB")
    assert plans.chosen is None and plans.reason.startswith("fp32 does not fit in 7.45 GiB: resident needs ")
    residues, *others, budget = plans.alternatives
    longest_length = int(residues.split()[0].replace(",", ""))
    assert residues == f"{longest_length:,} residues would fit in fp32"
    assert v1(longest_length, "8GB").chosen is not None and v1(longest_length + 10, "8GB").chosen is None
    assert any(each.startswith("pair=fp16 would fit (") for each in others)
    needed = by_name(plans)["fp32", "streamed"].needed_bytes
    assert budget == f"{needed / GIB:.2f} GiB would do for 3,000 residues in fp32 (streamed)"


def test_the_longest_counts_no_placement_that_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU int8 cannot be streamed out of a file of float32, though it would take less."""
    planner = Planner("1TB", "demo", "int8", "cpu", None, None, 3)
    plans = planner.plans(100, presets=False).plans
    possible = [each.needed_bytes for each in plans if each.possible]
    assert min(each.needed_bytes for each in plans) < min(possible) == planner._needed(100, "int8")


def test_a_placement_that_is_asked_for_is_the_only_one() -> None:
    plans = v1(400, "8GB", placement="resident")
    assert plans.chosen is None and all("staged" not in each for each in plans.alternatives)
    assert any(each.startswith("int8 would fit (resident") for each in plans.alternatives)


@pytest.mark.skipif(torch.cuda.is_available(), reason="takes the free memory of the card that is here")
def test_without_budget_and_card_nothing_is_refused() -> None:
    plans = v1(400, None)
    assert plans.memory_bytes is None and plans.chosen == plans.plans[0] and "no memory was given" in plans.reason


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"length": 0}, InputError, "length must be a whole number"),
        ({"memory": "8X"}, InputError, "8GiB"),
        ({"placement": "disk"}, InputError, "placement"),
        ({"precision": "int3"}, InputError, "int3"),
        ({"device": "tpu"}, InputError, "device"),
        ({"num_recycles": -1}, InputError, "num-recycles"),
        ({"model": "someone/else"}, ModelError, "hf download someone/else"),
        ({"model": "not/a/model"}, ModelError, "no folder not/a/model"),
        ({"device": "mps", "precision": "float8"}, InputError, "mps has no float8"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_mistakes_are_named(options: dict, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        lf.plan(**{"length": 50, "memory": "8GB", "device": "cpu", "model": "demo", **options})


def test_a_preset_that_the_device_has_not_is_left_out() -> None:
    plans = lf.plan(50, "8GB", model="demo", device="mps")
    assert {each.precision for each in plans.plans} == set(PRESETS) - {"float8"}


def test_a_second_answer_comes_from_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    first = lf.plan(77, "8GB", model="demo", device="cpu")
    monkeypatch.setattr(facts_module.FactSource, "_facts", lambda *_: pytest.fail("worked out again"))
    assert lf.plan(77, "8GB", model="demo", device="cpu") == first
    monkeypatch.setattr(facts_module, "code_digest", lambda: "other code")
    with pytest.raises(pytest.fail.Exception, match="worked out again"):
        lf.plan(77, "8GB", model="demo", device="cpu")


@pytest.mark.parametrize("law", [lambda n: 512 * n**2, lambda n: 10**9 + 1000 * n, lambda n: n**3], ids=["2", "1", "3"])
@pytest.mark.parametrize("budget", [10**9 + 5000, 3 * 10**9, 8 * 10**10])
def test_longest(law, budget: int) -> None:
    calls = []

    def needed(length: int) -> int:
        calls.append(length)
        return law(length)

    found = longest(needed, budget)
    assert found % 10 == 0 and law(found + 10) > budget and (found == 0 or law(found) <= budget)
    assert len(calls) < 40


def test_longest_of_what_fits_nowhere() -> None:
    assert longest(lambda length: math.inf, 10**9) == 0


def test_reserve() -> None:
    assert reserve_bytes("cuda:1", 50 * GIB) - reserve_bytes("cuda", 0) == int(0.4 * GIB)
    assert reserve_bytes("cpu", 50 * GIB) == reserve_bytes("cpu", 0)


@pytest.mark.gpu
@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("length", [64, 256, 512, 1024, 2048])
def test_within_five_percent_of_what_a_card_allocates(tmp_path_factory, placement: str, length: int) -> None:
    """ESMFold v1's widths, four layers and four blocks. The workspace of cuBLAS, which the allocator gives too, is part
    of a plan's reserve: 32 MiB on Hopper, 5 % of the smallest of these."""
    folder = _four_layers(tmp_path_factory)
    workspace = _cublas_workspace_bytes()
    plans = by_name(lf.plan(length, "80GB", model=str(folder), device="cuda", num_recycles=1))
    model = lf.load(str(folder), device="cuda", placement=placement)
    sequence = "A" * length
    model.fold("A" * 16, num_recycles=0)
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    model.fold(sequence, num_recycles=1)
    expected = plans["fp32", placement].peak_bytes + workspace
    assert expected == pytest.approx(torch.cuda.max_memory_allocated(), rel=0.05)


def _cublas_workspace_bytes() -> int:
    torch._C._cuda_clearCublasWorkspaces()
    a = torch.ones(512, 512, device="cuda")
    before = torch.cuda.memory_allocated()
    product = a @ a
    torch.cuda.synchronize()
    return torch.cuda.memory_allocated() - before - product.nbytes


def _four_layers(tmp_path_factory) -> Path:
    from lowmem_fold.bench.models import random_model

    folder = tmp_path_factory.getbasetemp() / "four layers"
    if not folder.exists():
        random_model(esmfold_v1_config(4, 4)).save_pretrained(folder)
    return folder
