"""A family is found by its name, and another one is loaded without a change to what loads, plans and runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import lowmem_fold
from lowmem_fold.checkpoints.checkpoint import find_checkpoint
from lowmem_fold.checkpoints.inventory import inventory
from lowmem_fold.checkpoints.loader import planned_model
from lowmem_fold.errors import ModelError
from lowmem_fold.families import registry
from lowmem_fold.families.interface import FoldingFamily
from lowmem_fold.precision import parse_precision
from lowmem_fold.residency import load_placed
from tests.families import esmfold2_family

CPU = torch.device("cpu")


def test_each_family_is_a_room_with_all_of_the_interface() -> None:
    room = Path(lowmem_fold.__file__).parent
    assert set(registry.FAMILIES) == {file.parent.name for file in room.glob("*/family.py")}
    named = {name for name in vars(FoldingFamily) if not name.startswith("_")} | set(FoldingFamily.__annotations__)
    for family in registry.families():
        assert all(hasattr(family, name) for name in named), family.name


def test_a_published_model_is_known_without_its_files() -> None:
    family = registry.published_family(registry.DEFAULT_MODEL)
    assert family is not None and family.recognises(family.published_config())
    assert registry.published_family("demo") is None


# --- ESMFold2, which the package does not have yet


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny one of random weights, buffers included, as stock transformers writes it."""
    transformers = pytest.importorskip("transformers", "5.23", reason="EsmFold2Model came with transformers 5.23")
    path = tmp_path_factory.mktemp("models") / "esmfold2"
    model = tiny(transformers)
    generator = torch.Generator().manual_seed(1)
    for tensor in (*model.parameters(), *(model.get_buffer(name) for name in esmfold2_family.ESMFOLD2.trained_buffers)):
        tensor.data.copy_(torch.randn(tensor.shape, generator=generator))
    model.save_pretrained(path)
    return path


def tiny(transformers) -> nn.Module:
    atoms = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = transformers.EsmFold2Config(
        hidden_size=24,
        pairwise_hidden_size=32,
        single_inputs_size=16 + 67,
        pair_transition_intermediate_size=64,
        folding_trunk_num_hidden_layers=3,
        parcae_num_coda_layers=1,
        atom_encoder={**atoms, "output_dim": 16},
        structure_head={
            "diffusion_module": {
                "hidden_size": 32,
                "fourier_dim": 16,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "intermediate_size": 48,
                "pair_intermediate_size": 40,
                "atom_encoder": {**atoms, "output_dim": 32},
            },
            "num_distogram_bins": 16,
        },
        confidence_head={"num_hidden_layers": 1, "num_plddt_bins": 10, "num_pde_bins": 8, "num_pae_bins": 8},
        msa_encoder={"hidden_size": 16, "outer_hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 2},
        lm_encoder={"num_hidden_layers": 1},
        esmc_config={
            "model_type": "esmc",
            "vocab_size": 64,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
        },
    )
    return transformers.EsmFold2Model(config).eval().requires_grad_(False)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "FAMILIES", (*registry.FAMILIES, "esmfold2"))
    family = registry._family
    monkeypatch.setattr(
        registry, "_family", lambda name: esmfold2_family.FAMILY if name == "esmfold2" else family(name)
    )


def test_of_no_family(folder: Path) -> None:
    with pytest.raises(ModelError, match="model_type 'esmfold2' is not an ESMFold, which folding needs"):
        registry.find_folding_model(str(folder))


@pytest.mark.usefixtures("known")
def test_another_family_is_recognised_and_listed(folder: Path) -> None:
    checkpoint, family = registry.find_folding_model(str(folder))
    assert family is esmfold2_family.FAMILY
    assert registry.family_of(find_checkpoint("demo")) is registry._family("esmfold")
    found = inventory(planned_model(checkpoint, parse_precision("int8").resolve(CPU), family.architecture))
    assert set(found["stem"]["formats"]) == {"int8", "fp32"} and found["pair-modules"]["formats"].keys() == {"fp32"}
    assert found["total"]["weights"] == sum(found[part]["weights"] for part in found if part != "total")


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("placement", ["resident", "staged", "streamed"])
def test_another_family_is_loaded(folder: Path, placement: str) -> None:
    """Weights and trained buffers are those of the files, also while layers come and go."""
    transformers = pytest.importorskip("transformers", "5.23", reason="EsmFold2Model came with transformers 5.23")
    checkpoint, family = registry.find_folding_model(str(folder))
    resolved = parse_precision("fp32").resolve(CPU)
    model, residency = load_placed(checkpoint, resolved, CPU, placement, family.architecture)
    stock = transformers.EsmFold2Model.from_pretrained(folder)
    expected = {**stock.state_dict(), **{name: stock.get_buffer(name) for name in family.architecture.trained_buffers}}
    layers = {"esmc.layers": residency.stem, "folding_trunk.layers": residency.trunk}
    fixed = {name: t for name, t in tensors(model).items() if not name.startswith(tuple(layers))}
    compared = equal(fixed, expected)
    for path, walk in layers.items():
        for number, layer in enumerate(walk()):
            compared += equal({f"{path}.{number}.{name}": t for name, t in tensors(layer).items()}, expected)
        assert number == 2
    assert compared == len(expected)


def tensors(module: nn.Module) -> dict[str, Tensor]:
    return dict(module.state_dict())


def equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> int:
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=0, msg=name)
    return len(found)
