"""The counts of work are those of the engine's own functions."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, bmm_flop, mm_flop

from lowmem_fold.bench.models import random_model, small_config
from lowmem_fold.esmfold.probes import calls_of
from lowmem_fold.esmfold.work import FUNCTIONS, PER_BLOCK, PER_PASS, Widths
from lowmem_fold.pair.tiles import Tiling
from tests.models import small_model

# What torch's counter leaves out
IN_PLACE = {
    torch.ops.aten.addmm_: lambda out, a, b, **_: mm_flop(a, b),
    torch.ops.aten.baddbmm_: lambda out, a, b, **_: bmm_flop(a, b),
}
PRODUCTS = ("mm", "bmm", "addmm", "baddbmm", "mv", "scaled_dot_product")


class Counter(TorchDispatchMode):
    """Operations, and the numbers that those that are no product write."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = self.numbers = 0

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):  # type: ignore[no-untyped-def]
        result = function(*arguments, **(keywords or {}))
        name = function.__name__
        first = result[0] if isinstance(result, tuple) else result
        if function.is_view or "empty" in name or not isinstance(first, torch.Tensor):
            return result
        self.calls += 1
        if not any(product in name for product in PRODUCTS):
            self.numbers += first.numel()
        return result


@pytest.fixture(scope="module")
def wider() -> torch.nn.Module:
    """Other proportions throughout: a formula that holds for both is no accident of one."""
    config = small_config()
    config.num_hidden_layers, config.hidden_size, config.intermediate_size = 2, 96, 320
    trunk = config.esmfold_config.trunk
    trunk.sequence_state_dim, trunk.pairwise_state_dim, trunk.sequence_head_width = 64, 96, 32
    structure = trunk.structure_module
    structure.sequence_dim, structure.pairwise_dim, structure.num_heads_ipa, structure.num_qk_points = 56, 24, 5, 3
    config.esmfold_config.lddt_head_hid_dim = 48
    structure.num_transition_layers = structure.num_resnet_blocks = structure.num_blocks = 2
    return random_model(config)


@pytest.fixture(params=["small", "wider"])
def model(request: pytest.FixtureRequest) -> torch.nn.Module:
    return small_model() if request.param == "small" else request.getfixturevalue("wider")


@pytest.mark.parametrize("length", [7, 60, 150])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_multiply_adds(model: torch.nn.Module, name: str, length: int) -> None:
    work = FUNCTIONS[name](Widths.of(model.config.to_dict()), length, Tiling())
    call = calls_of(model, length)[name]
    with FlopCounterMode(display=False, custom_mapping=IN_PLACE) as counter, sdpa_kernel(SDPBackend.MATH):
        call()
    # The bias of a pair and its expectation, which are vectors, are left out.
    assert work.projections + work.contractions == pytest.approx(counter.get_total_flops() / 2, rel=0.005)


@pytest.mark.parametrize("length", [7, 60, 150])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_calls_and_numbers(model: torch.nn.Module, name: str, length: int) -> None:
    work = FUNCTIONS[name](Widths.of(model.config.to_dict()), length, Tiling())
    call = calls_of(model, length)[name]
    call()  # tables that are made once
    with Counter() as counter:
        call()
    assert work.calls == pytest.approx(counter.calls, rel=0.05)
    assert work.numbers == pytest.approx(counter.numbers, rel=0.05, abs=1e4)


def test_weights(model: torch.nn.Module) -> None:
    widths = Widths.of(model.config.to_dict())

    def matrices(module: torch.nn.Module) -> int:
        return sum(p.numel() for p in module.parameters() if p.ndim == 2)

    block = model.trunk.blocks[0]
    assert widths.stem_layer_weights == matrices(model.esm.encoder.layer[0])
    assert widths.sequence_track_weights == matrices(block.seq_attention) + matrices(block.mlp_seq)
    stem = FUNCTIONS["stem"](widths, 9, Tiling()).weights
    assert stem == matrices(model.esm.encoder) + matrices(model.esm_s_mlp)
    module = model.trunk.structure_module
    again = sum(map(matrices, (module.ipa, module.transition, module.bb_update))) - matrices(module.ipa.linear_b)
    once = sum(map(matrices, (model.trunk.trunk2sm_s, module.linear_in, module.angle_resnet)))
    structure = FUNCTIONS["structure"](widths, 9, Tiling()).weights
    assert structure == pytest.approx(again * widths.structure_blocks + once, rel=0.02)


def test_every_function_has_its_place() -> None:
    assert set(FUNCTIONS) == {"stem", "heads", *PER_BLOCK, *PER_PASS}


def test_a_short_configuration_is_esmfold_v1() -> None:
    from lowmem_fold.esmfold.published import esmfold_v1_config

    short = {"num_hidden_layers": 36, "hidden_size": 2560, "intermediate_size": 10240}
    assert Widths.of(short) == Widths.of(esmfold_v1_config().to_dict())


def test_torch_is_not_needed() -> None:
    program = "import sys, lowmem_fold.esmfold.work; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
