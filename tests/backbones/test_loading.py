"""What is loaded: precisions, placements, attention, budgets, folders that were quantized; and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import nn

import lowmem_fold as lf
from lowmem_fold.backbones import loading, room
from lowmem_fold.backbones.blueprint import Blueprint
from lowmem_fold.backbones.families import protbert
from lowmem_fold.backbones.loading import load_backbone
from lowmem_fold.checkpoints.checkpoint import find_checkpoint
from lowmem_fold.cli.main import main
from lowmem_fold.errors import BudgetError, InputError, ModelError, WeightsLostError
from lowmem_fold.families.registry import family_of, find_folding_model
from lowmem_fold.memory import capacity
from lowmem_fold.memory.limit import CUDA_CONTEXT_BYTES
from lowmem_fold.memory.reserve import reserve_bytes
from lowmem_fold.planning import plan
from lowmem_fold.precision import parse_precision
from lowmem_fold.quantization.stored import StoredLinear
from tests.backbones.models import CASES, SEQUENCES, saved
from tests.backbones.test_parity import states

HEADS = ("lm_head", "cls")


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[number], other[number]) for number in one)


# --- what is loaded


@pytest.mark.parametrize("case", CASES)
def test_weights_are_what_stock_loads(family_folder, case: str) -> None:
    """Tied ones too, whichever of them is in the files."""
    backbone = load_backbone(family_folder(case), device="cpu")
    container = getattr(transformers, backbone.family.architecture.container)
    theirs = container.from_pretrained(family_folder(case)).state_dict()
    for name, tensor in backbone.model.state_dict().items():
        assert torch.equal(tensor, theirs[name]), name
    missing = theirs.keys() - backbone.model.state_dict().keys()
    assert all(name.startswith(("esm.contact_head", "shared", *HEADS)) for name in missing)
    assert any(name.startswith(HEADS) for name in missing) == (case == "esm2-alone")


@pytest.mark.parametrize("held", ["cls.predictions.decoder.bias", "cls.predictions.bias"])
def test_either_name_of_a_tied_tensor_will_do(family_folder, tmp_path: Path, held: str) -> None:
    folder = Path(shutil.copytree(family_folder("antiberty"), tmp_path / "model"))
    tensors = load_file(folder / "model.safetensors")
    names = ("cls.predictions.decoder.bias", "cls.predictions.bias")
    bias = next(tensors.pop(name) for name in names if name in tensors) + torch.arange(25)
    tensors = {name: tensor for name, tensor in tensors.items() if name not in names}
    save_file({**tensors, held: bias}, folder / "model.safetensors", metadata={"format": "pt"})
    head = load_backbone(folder, device="cpu").model.cls.predictions
    assert torch.equal(head.decoder.bias, bias) and torch.equal(head.bias, bias)


@pytest.mark.parametrize("case", CASES)
def test_linear_layers_but_the_heads_are_stored(family_folder, case: str) -> None:
    plain = dict(load_backbone(family_folder(case), device="cpu").model.named_modules())
    model = load_backbone(family_folder(case), "fp16", device="cpu").model
    for name, module in model.named_modules():
        expected = isinstance(plain.get(name), nn.Linear) and not name.startswith(HEADS)
        assert isinstance(module, StoredLinear) == expected, name
        if expected:
            assert torch.equal(module.data, plain[name].weight.half()) and module.compute == torch.float32


@pytest.mark.parametrize(
    ("case", "float32"), [("esm2", False), ("prott5", True), ("antiberty", False)], ids=["esm2", "prott5", "antiberty"]
)
def test_what_half_precision_computes_in(family_folder, case: str, float32: bool) -> None:
    """A T5's stream and what its `wo` takes leave the range of float16."""
    backbone = load_backbone(family_folder(case), "stem=fp16/fp16", device="cpu")
    found = states(backbone, SEQUENCES)[1]
    assert (found.dtype == torch.float32) == float32
    stored = {name: m for name, m in backbone.model.named_modules() if isinstance(m, StoredLinear)}
    assert {name for name, m in stored.items() if m.compute == torch.float32} == {
        n for n in stored if n.endswith(".wo")
    }
    assert bool(stored) == float32  # of the others, layers are ordinary ones in float16


@pytest.mark.parametrize(("case", "scale"), [("prott5", 2000), ("ankh", 400)], ids=["prott5", "ankh"])
def test_a_t5_may_leave_the_range_of_float16(family_folder, case: str, scale: int) -> None:
    """As published ones do in their feed-forward layers."""
    backbone = load_backbone(family_folder(case), "stem=fp16/fp16", device="cpu")
    for layer in backbone.model.encoder.block:
        layer.layer[1].layer_norm.weight.mul_(scale)
        layer.layer[1].DenseReluDense.wo.data.mul_(100)
    found = states(backbone, SEQUENCES)
    assert all(bool(each.isfinite().all()) for each in found.values())
    assert found[2].abs().max() > torch.finfo(torch.float16).max


def test_globs_choose_layers(family_folder) -> None:
    model = load_backbone(family_folder("esm2"), "fp16,exclude=esm.encoder.layer.0.*", device="cpu").model
    stored = {name for name, module in model.named_modules() if isinstance(module, StoredLinear)}
    assert stored and not any(name.startswith("esm.encoder.layer.0.") for name in stored)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("case", CASES)
def test_streamed_is_resident(family_folder, case: str, precision: str) -> None:
    resident = load_backbone(family_folder(case), precision, device="cpu")
    streamed = load_backbone(family_folder(case), precision, device="cpu", placement="streamed")
    assert (resident.placement, streamed.placement) == ("resident", "streamed")
    layers = streamed.family.architecture.stacks(streamed.model)[0]
    assert all(parameter.is_meta for _, layer in layers for parameter in layer.parameters())
    assert same(states(resident, SEQUENCES), states(streamed, SEQUENCES))
    assert same(states(resident, SEQUENCES, [0, 1]), states(streamed, SEQUENCES, [0, 1]))
    if resident.masked_lm:
        tokens = [resident.family.encode("MK*")]
        assert torch.equal(resident.logits(tokens), streamed.logits(tokens))
    assert all(parameter.is_meta for _, layer in layers for parameter in layer.parameters())


def test_place_changes_where_weights_live(family_folder, monkeypatch) -> None:
    backbone = load_backbone(family_folder("esm2"), device="cpu")
    before = states(backbone, SEQUENCES)
    backbone.place("streamed")
    assert (backbone.placement, backbone.placements) == ("streamed", ("resident", "streamed"))
    assert backbone.describe()["weights_wait_in"] == "file"
    assert same(states(backbone, SEQUENCES), before)
    load = Blueprint.load

    def failing(self, placement: str):
        if placement == "resident":
            raise MemoryError
        return load(self, placement)

    monkeypatch.setattr(Blueprint, "load", failing)
    with pytest.raises(MemoryError):
        backbone.place("resident")
    assert backbone.placement == "streamed" and same(states(backbone, SEQUENCES), before)


def test_weights_that_cannot_be_loaded_again_are_told(family_folder, monkeypatch) -> None:
    backbone = load_backbone(family_folder("esm2"), device="cpu")

    def failing(self, placement: str):
        raise MemoryError(placement)

    monkeypatch.setattr(Blueprint, "load", failing)
    lost = r"weights of .* are lost: .* \(MemoryError: streamed\), nor resident as before \(MemoryError: resident\)"
    with pytest.raises(WeightsLostError, match=lost):
        backbone.place("streamed")


def test_a_run_that_fails_can_be_followed_by_another(family_folder) -> None:
    backbone = load_backbone(family_folder("esm2"), "bf16", device="cpu", placement="streamed")

    def fail(number: int, states: torch.Tensor) -> None:
        if number == 1:
            raise MemoryError

    with pytest.raises(MemoryError):
        backbone.hidden_states([backbone.family.encode("MKT")], range(4), fail)
    resident = load_backbone(family_folder("esm2"), "bf16", device="cpu")
    assert same(states(backbone, SEQUENCES), states(resident, SEQUENCES))


# --- folders that were quantized


def test_a_quantized_folder_is_loaded_as_it_was_made(family_folder, quantized_folder: Path) -> None:
    direct = load_backbone(family_folder("esm2"), "bf16", device="cpu")
    stored = load_backbone(quantized_folder, device="cpu")
    assert str(stored.precision) == "bf16"
    assert same(states(direct, SEQUENCES), states(stored, SEQUENCES))
    tokens = [direct.family.encode("MK*")]
    assert torch.equal(direct.logits(tokens), stored.logits(tokens))
    assert load_backbone(quantized_folder, "stem=bf16", device="cpu").precision == stored.precision
    with pytest.raises(InputError, match="is stored as bf16 and cannot be loaded as int8"):
        load_backbone(quantized_folder, "int8", device="cpu")


@pytest.mark.parametrize("case", ["prott5", "protbert", "antiberty"])
def test_what_is_unpacked_again_is_for_stock(family_folder, tmp_path: Path, case: str, capsys) -> None:
    small, back = tmp_path / "small", tmp_path / "back"
    assert main(["quantize", "-m", str(family_folder(case)), "--precision", "bf16", "-o", str(small)]) == 0
    assert main(["quantize", "-m", str(small), "--dequantize", "-o", str(back)]) == 0
    capsys.readouterr()
    stored = load_backbone(small, device="cpu")
    container = getattr(transformers, stored.family.architecture.container)
    theirs = container.from_pretrained(back).state_dict()
    for name, module in stored.model.named_modules():
        if isinstance(module, StoredLinear):
            assert torch.equal(module.data.float(), theirs[f"{name}.weight"]), name
    assert same(states(load_backbone(back, device="cpu"), SEQUENCES), states(stored, SEQUENCES))


def test_quantized_at_loading_cannot_be_streamed_on_a_cpu(family_folder, capsys) -> None:
    int8 = load_backbone(family_folder("esm2"), "int8", device="cpu")
    assert int8.placements == ("resident",)
    with pytest.raises(InputError, match="write them first"):
        int8.place("streamed")
    assert int8.placement == "resident" and states(int8, SEQUENCES)


def test_info_tells_what_is_loaded(family_folder, capsys) -> None:
    folder = str(family_folder("protbert"))
    assert main(["info", "-m", folder, "--precision", "int8", "--device", "cpu", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    described = load_backbone(folder, "int8", device="cpu").describe()
    assert (described.pop("placement"), described.pop("weights_wait_in")) == ("resident", "none")
    assert told == described
    assert (told["family"], told["resolved_precision"], list(told["weights"])) == (
        "ProtBert",
        "stem=int8/fp32",
        ["stem", "total"],
    )
    assert main(["info", "-m", folder]) == 0
    assert "ProtBert" in capsys.readouterr().out


def test_every_weight_is_counted_once(family_folder) -> None:
    """Ties are held apart: 33 tokens of width 32."""
    backbone = load_backbone(family_folder("esm2"), device="cpu")
    stock = transformers.EsmForMaskedLM.from_pretrained(family_folder("esm2"))
    contacts = sum(parameter.numel() for parameter in stock.esm.contact_head.parameters())
    expected = sum(parameter.numel() for parameter in stock.parameters()) - contacts + 33 * 32
    assert backbone.describe()["weights"]["total"]["weights"] == expected


# --- attention


def test_attention_is_chosen_and_recorded(family_folder) -> None:
    for asked, resolved in (("auto", "sdpa"), ("sdpa", "sdpa"), ("eager", "eager")):
        backbone = load_backbone(family_folder("esm2"), device="cpu", attention=asked)
        assert (
            backbone.attention == backbone.describe()["attention"] == backbone.config._attn_implementation == resolved
        )


def test_attention_that_cannot_be_had_is_refused(family_folder, monkeypatch) -> None:
    with pytest.raises(InputError, match="unknown attention 'flash'; choose from: auto, sdpa, eager"):
        load_backbone(family_folder("prott5"), device="cpu", attention="flash")
    monkeypatch.setattr(transformers.T5EncoderModel, "_supports_sdpa", False)  # as in transformers 5.8
    assert load_backbone(family_folder("prott5"), device="cpu").attention == "eager"
    with pytest.raises(InputError, match=r"attention sdpa: ProtT5 has eager in transformers"):
        load_backbone(family_folder("prott5"), device="cpu", attention="sdpa")


# --- memory


def test_a_budget_chooses_the_placement(family_folder) -> None:
    folder = family_folder("esm2")
    resident, streamed = (load_backbone(folder, device="cpu", placement=name) for name in ("resident", "streamed"))
    weights = resident.describe()["weights"]["total"]["bytes"]
    activations = resident.peak_bytes(1, 512)
    reserve = reserve_bytes("cpu", weights + activations)
    enough = weights + activations + reserve
    assert load_backbone(folder, memory=enough, device="cpu").placement == "resident"
    less = load_backbone(folder, memory=enough - 1, device="cpu")
    assert less.placement == "streamed"
    assert resident.room_bytes is None
    layers = sum(p.nbytes for p in resident.model.esm.encoder.layer.parameters())
    assert less.room_bytes == enough - 1 - reserve - (weights - layers)
    assert streamed.peak_bytes(1, 512) == activations
    with pytest.raises(BudgetError, match=r"with streamed weights, and .* may be used; a smaller precision"):
        load_backbone(folder, memory=weights - layers + activations + reserve - 1, device="cpu")
    with pytest.raises(BudgetError, match=r"needs .* with resident weights, and .* write them first"):
        load_backbone(folder, "int8", memory=reserve, device="cpu")


def test_free_memory_is_a_budget_where_it_is_scarce(monkeypatch) -> None:
    backbone = load_backbone("demo", device="cpu")
    needed = backbone.describe()["weights"]["total"]["bytes"] + backbone.peak_bytes(1, 512)
    monkeypatch.setattr("lowmem_fold.backbones.blueprint.reserve_bytes", lambda device, size: 0)
    for free, placement in ((None, "resident"), (needed, "resident"), (needed - 1, "streamed")):
        monkeypatch.setattr(loading, "usable_bytes", lambda device, free=free: free)
        assert load_backbone("demo", device="cpu").placement == placement


def test_cuda_without_a_number_is_the_current_device_everywhere(monkeypatch) -> None:
    free = {0: 10**9, 1: 10**6}
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda index: (free[index], 2 * 10**9))
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 0)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 0)
    for name, left in (("cuda", 10**6), ("cuda:0", 10**9), ("cuda:1", 10**6)):
        device = torch.device(name)
        weights = SimpleNamespace(device=device, weight_bytes={"resident": 10**9})
        usable = left + CUDA_CONTEXT_BYTES
        assert capacity.usable_bytes(device) == usable
        assert loading._scarce_bytes(weights) == usable
        assert room._room_bytes(SimpleNamespace(device=device, room_bytes=None)) == int(0.9 * left)
        assert plan._free_bytes(name) == usable


# --- what is refused


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"placement": "staged"}, "one stack of layers: staged is resident"),
        ({"placement": "elsewhere"}, "unknown placement 'elsewhere'; choose from: resident, streamed"),
        ({"precision": "int9"}, "unknown precision 'int9'"),
        ({"precision": "int8,pair=bf16"}, "a language model by itself has one part"),
        ({"precision": "stem=int8,trunk=int4"}, "a language model by itself has one part"),
        ({"precision": "fp16,exclude=layer.9.*"}, "matches no linear layer"),
        ({"device": "tpu"}, "device tpu is not available"),
        ({"memory": "much"}, "is not a memory size"),
    ],
    ids=lambda value: "" if isinstance(value, str) else "-".join(map(str, value.values())),
)
def test_options_that_cannot_be(family_folder, options: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        load_backbone(family_folder("esm2"), **{"device": "cpu", **options})


def test_a_quantized_esmfold_gives_its_stem(tmp_path: Path, capsys) -> None:
    assert main(["quantize", "-m", "demo", "--precision", "stem=bf16,trunk=fp16", "-o", str(tmp_path / "small")]) == 0
    stem = load_backbone(tmp_path / "small", device="cpu")
    assert str(stem.precision) == "bf16"
    assert same(states(stem, SEQUENCES), states(load_backbone("demo", "bf16", device="cpu"), SEQUENCES))


@pytest.mark.parametrize(
    ("globs", "narrowed"),
    [
        ("exclude=trunk.blocks.0.*,exclude=esm.encoder.layer.0.*", "bf16,exclude=esm.encoder.layer.0.*"),
        ("include=trunk.*", "fp32"),
        ("include=trunk.*,include=esm.encoder.layer.1.*", "bf16,include=esm.encoder.layer.1.*"),
    ],
    ids=["exclude", "trunk-alone", "include"],
)
def test_globs_on_the_trunk_are_none_of_the_stems(tmp_path: Path, globs: str, narrowed: str) -> None:
    whole = f"bf16,{globs}"
    assert main(["quantize", "-m", "demo", "--precision", whole, "-o", str(tmp_path / "small")]) == 0
    expected = load_backbone("demo", narrowed, device="cpu")
    for asked in (None, whole):
        stem = load_backbone(tmp_path / "small", asked, device="cpu")
        assert stem.precision == expected.precision
        assert same(states(stem, SEQUENCES), states(expected, SEQUENCES))
    with pytest.raises(InputError, match="is stored as"):
        load_backbone(tmp_path / "small", "bf16", device="cpu")


def test_damaged_files_are_named(family_folder, tmp_path: Path) -> None:
    folder = saved("esm2", tmp_path / "esm2")
    tensors = load_file(folder / "model.safetensors")

    def refusal(**changes: torch.Tensor | None) -> str:
        changed = {**tensors, **{name.replace("__", "."): tensor for name, tensor in changes.items()}}
        kept = {name: tensor for name, tensor in changed.items() if tensor is not None}
        save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(ModelError) as caught:
            load_backbone(folder, device="cpu")
        return str(caught.value)

    name = "esm__encoder__layer__2__output__dense__bias"
    assert "esm.encoder.layer.2.output.dense.bias is missing" in refusal(**{name: None})
    assert "the configuration says (32,)" in refusal(**{name: torch.zeros(31)})
    extra = {"esm__encoder__layer__3__output__dense__bias": torch.zeros(32)}
    assert "is not a tensor of an ESM language model" in refusal(**extra)
    assert "lm_head.dense.weight is missing" in refusal(lm_head__dense__weight=None)
    save_file({**tensors, "classifier.weight": torch.zeros(3)}, folder / "model.safetensors", metadata={"format": "pt"})
    assert load_backbone(folder, device="cpu").masked_lm


def test_folding_needs_a_folding_model(family_folder) -> None:
    with pytest.raises(ModelError, match=r"is not an ESMFold.* lowmem-fold embed, fill and score take language models"):
        find_folding_model(str(family_folder("esm1")))
    with pytest.raises(ModelError, match="is not an ESMFold"):
        lf.load(str(family_folder("esm1")))
    assert family_of(find_checkpoint("demo")) is not None
    assert family_of(find_checkpoint(str(family_folder("esm1")))) is None


def test_a_container_that_transformers_lacks_is_named(family_folder, monkeypatch) -> None:
    monkeypatch.setattr(protbert, "ARCHITECTURE", replace(protbert.ARCHITECTURE, container="BertOfTomorrow"))
    with pytest.raises(ModelError, match=r"has no BertOfTomorrow, and a BERT is held by it: pip install -U"):
        load_backbone(family_folder("antiberty"), device="cpu")


def test_precision_is_said_of_the_stem(family_folder) -> None:
    for asked, said in (("int8", "int8"), ("stem=fp16", "fp16"), ("stem=int8/bf16", "stem=int8/bf16")):
        assert str(loading.make_blueprint(family_folder("esm2"), asked, device="cpu").precision) == said
    blueprint = loading.make_blueprint(family_folder("esm2"), parse_precision("bf16"), device="cpu")
    assert (str(blueprint.precision), str(blueprint.resolved)) == ("bf16", "stem=bf16/fp32")


def test_it_is_among_the_public_names(family_folder) -> None:
    backbone = lf.load_backbone(family_folder("esm2"), device="cpu")
    assert isinstance(backbone, lf.Backbone)
