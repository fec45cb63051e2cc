"""Models from disk, in the form that was asked for, and the errors of files that are not sound."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import EsmForProteinFolding

from lowmem_fold.bench.models import random_model, small_config
from lowmem_fold.checkpoints import loader, weight_files
from lowmem_fold.checkpoints.checkpoint import find_checkpoint
from lowmem_fold.checkpoints.weight_files import WeightFiles
from lowmem_fold.errors import InputError, ModelError
from lowmem_fold.esmfold.modules import ESMFOLD, part_of
from lowmem_fold.precision import Precision, parse_precision
from lowmem_fold.quantization.formats import FORMATS
from lowmem_fold.quantization.registry import quantize, unavailable
from lowmem_fold.quantization.stored import StoredLinear

CPU = torch.device("cpu")
QUANTIZED = ("int8", "int4", "float8", "bnb-int8", "bnb-nf4")


def load(folder: Path, precision: str = "fp32") -> EsmForProteinFolding:
    return loader.load_model(find_checkpoint(str(folder)), parse_precision(precision).resolve(CPU), CPU, ESMFOLD)


def change(folder: Path, **tensors: Tensor | None) -> None:
    """Replace, add or (None) remove tensors of a folder; `__` stands for `.`."""
    held = load_file(folder / "model.safetensors")
    for name, tensor in tensors.items():
        held.pop(name.replace("__", "."), None)
        if tensor is not None:
            held[name.replace("__", ".")] = tensor
    save_file(held, folder / "model.safetensors", metadata={"format": "pt"})


def refusal(folder: Path, precision: str = "fp32") -> str:
    with pytest.raises(ModelError) as caught:
        load(folder, precision)
    return str(caught.value)


# --- what is loaded


def test_loads_in_float32_with_the_values_of_the_file(sound: Path) -> None:
    model = load(sound)
    for (name, parameter), expected in zip(
        model.named_parameters(), random_model(small_config()).parameters(), strict=True
    ):
        assert parameter.dtype == torch.float32 and not parameter.requires_grad
        assert torch.equal(parameter, expected), name


def test_is_what_stock_loads(sound: Path) -> None:
    """Buffers too: tables that are computed must not depend on how a model is built."""
    mine, stock = load(sound), EsmForProteinFolding.from_pretrained(sound).eval()
    theirs = stock.state_dict()
    assert mine.state_dict().keys() == theirs.keys()
    for name, tensor in mine.state_dict().items():
        assert torch.equal(tensor, theirs[name]), name
    for (name, mine_buffer), (_, buffer) in zip(mine.named_buffers(), stock.named_buffers(), strict=True):
        assert torch.equal(mine_buffer, buffer), name


@pytest.mark.parametrize(
    "names",
    [
        ["esm.rotary_embeddings.inv_freq"],
        [f"esm.encoder.layer.{number}.attention.self.rotary_embeddings.inv_freq" for number in range(3)],
    ],
    ids=["one", "one for each layer"],
)
def test_rotary_frequencies_are_those_of_the_file(broken: Path, names: list[str]) -> None:
    """Published ones are rounded; worked out anew they would turn distant residues another way than in training."""
    tensors = load_file(broken / "model.safetensors")
    (held,) = [name for name in tensors if name.endswith("inv_freq")]
    exact = tensors.pop(held)
    save_file(tensors | {name: exact.half() for name in names}, broken / "model.safetensors", metadata={"format": "pt"})
    stock = EsmForProteinFolding.from_pretrained(broken).state_dict()
    found = {name: tensor for name, tensor in load(broken).state_dict().items() if name.endswith("inv_freq")}
    assert found
    for name, tensor in found.items():
        assert torch.equal(tensor, stock[name]), name
        assert not torch.equal(tensor, exact)
        assert tensor.dtype == torch.float32


def test_half_precision_stem_becomes_float32(broken: Path) -> None:
    """As published: stem in float16, trunk in float32."""
    tensors = load_file(broken / "model.safetensors")
    halved = {name: t.half() if name.startswith("esm.") and t.is_floating_point() else t for name, t in tensors.items()}
    save_file(halved, broken / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((broken / "config.json").read_text())
    config["esmfold_config"]["fp16_esm"] = True
    (broken / "config.json").write_text(json.dumps(config))
    model = load(broken)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    weight = model.esm.encoder.layer[0].output.dense.weight
    assert torch.equal(weight, halved["esm.encoder.layer.0.output.dense.weight"].float())


def test_pickled_weights_load(broken: Path) -> None:
    """As `facebook/esmfold_v1` is stored."""
    tensors = load_file(broken / "model.safetensors")
    (broken / "model.safetensors").unlink()
    torch.save(tensors, broken / "pytorch_model.bin")
    assert torch.equal(load(broken).esm_s_combine, tensors["esm_s_combine"])


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_shards_load(sound: Path, broken: Path, kind: str) -> None:
    held = load_file(broken / "model.safetensors")
    (broken / "model.safetensors").unlink()
    stem = "model" if kind == "safetensors" else "pytorch_model"
    shards = {f"{stem}-0000{i + 1}-of-00002.{kind}": list(held)[i::2] for i in (0, 1)}
    for file, names in shards.items():
        part = {name: held[name] for name in names}
        save_file(part, broken / file) if kind == "safetensors" else torch.save(part, broken / file)
    index = {"weight_map": {name: file for file, names in shards.items() for name in names}}
    (broken / f"{stem}.{kind}.index.json").write_text(json.dumps(index))
    for mine, whole in zip(load(broken).parameters(), load(sound).parameters(), strict=True):
        assert torch.equal(mine, whole)
    (broken / f"{stem}-00002-of-00002.{kind}").unlink()
    assert f"{stem}-00002-of-00002.{kind} is missing" in refusal(broken)


@pytest.mark.parametrize("precision", QUANTIZED)
def test_linear_layers_of_stem_and_sequence_track_are_stored(sound: Path, precision: str) -> None:
    if reason := unavailable(precision, CPU):
        pytest.skip(reason)
    model, plain = load(sound, precision), dict(load(sound).named_modules())
    for name, module in model.named_modules():
        stored = isinstance(module, StoredLinear)
        if isinstance(plain.get(name), nn.Linear):
            assert stored == (part_of(name) in ("stem", "trunk") and not name.startswith("esm.contact_head")), name
        if stored:
            expected = quantize(plain[name].weight, precision)
            for key, tensor in expected.items():
                assert torch.equal(getattr(module, key).view(torch.uint8), tensor.view(torch.uint8)), (name, key)


def test_globs_choose_what_is_stored(sound: Path) -> None:
    model = load(sound, "stem=fp16,exclude=esm.encoder.layer.0.*")
    layers = model.esm.encoder.layer
    assert not any(isinstance(module, StoredLinear) for module in layers[0].modules())
    assert isinstance(layers[1].output.dense, StoredLinear)


def test_half_precision_is_stored_in_half_the_bytes(sound: Path) -> None:
    weight = load(sound, "fp16").esm.encoder.layer[0].output.dense.data
    assert weight.dtype == torch.float16
    assert torch.equal(weight, load(sound).esm.encoder.layer[0].output.dense.weight.half())


def test_a_width_that_cannot_be_blocked_is_refused_before_loading(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(FORMATS["int8"]), "refusal", lambda *_: "no such width")
    monkeypatch.setattr(loader, "quantize", None)
    with pytest.raises(InputError, match=r"int8: esm\.encoder\.layer\.0.* no such width"):
        load(sound, "int8")


# --- files that are not sound


def test_truncated_weights(broken: Path) -> None:
    data = (broken / "model.safetensors").read_bytes()
    (broken / "model.safetensors").write_bytes(data[: len(data) // 2])
    assert "model.safetensors cannot be read: damaged or cut short" in refusal(broken)


def test_truncated_pickle(broken: Path) -> None:
    torch.save(load_file(broken / "model.safetensors"), broken / "pytorch_model.bin")
    (broken / "model.safetensors").unlink()
    data = (broken / "pytorch_model.bin").read_bytes()
    (broken / "pytorch_model.bin").write_bytes(data[: len(data) // 2])
    assert "pytorch_model.bin cannot be read" in refusal(broken)


def test_a_pickle_of_something_else(broken: Path) -> None:
    (broken / "model.safetensors").unlink()
    torch.save({"state": [1, 2]}, broken / "pytorch_model.bin")
    assert "pytorch_model.bin cannot be read" in refusal(broken) and "no state dict" in refusal(broken)


def test_missing_tensor_is_named(broken: Path) -> None:
    change(broken, trunk__trunk2sm_z__weight=None)
    assert "trunk.trunk2sm_z.weight is missing (read: model.safetensors)" in refusal(broken)


def test_extra_tensor_is_named_with_its_file(broken: Path) -> None:
    change(broken, trunk__blocks__7__mlp_seq__mlp__1__weight=torch.zeros(2))
    assert "trunk.blocks.7.mlp_seq.mlp.1.weight in model.safetensors is not a tensor" in refusal(broken)


def test_wrong_shape_is_named(broken: Path) -> None:
    change(broken, ptm_head__weight=torch.zeros(64, 31))
    assert "ptm_head.weight is (64, 31) in model.safetensors, the configuration says (64, 32)" in refusal(broken)


def test_tensors_that_folding_never_reads_may_be_there_or_not(broken: Path, sound: Path) -> None:
    change(
        broken,
        esm__contact_head__regression__weight=None,
        esm__contact_head__regression__bias=torch.zeros(7),
        esm__embeddings__position_ids=torch.arange(5),
        esm__embeddings__position_embeddings__weight=torch.zeros(7, 2),
        esm__encoder__layer__0__attention__self__rotary_embeddings__inv_freq=torch.zeros(2),
        trunk__structure_module__default_frames=torch.zeros(3),
    )
    assert torch.equal(load(broken).ptm_head.weight, load(sound).ptm_head.weight)


def test_running_out_of_memory_is_no_damage(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(weight_files, "_safetensors", lambda file: {"esm_s_combine": fail})
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        WeightFiles(sound).get("esm_s_combine")


def test_a_tensor_that_cannot_be_read_is_named_with_its_file(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError("read error")

    monkeypatch.setattr(weight_files, "_safetensors", lambda file: {"esm_s_combine": fail})
    with pytest.raises(ModelError, match=r"model\.safetensors: esm_s_combine cannot be read \(OSError: read error"):
        WeightFiles(sound).get("esm_s_combine")


@pytest.mark.parametrize("glob", ["include=esm.encoder.layers.*", "exclude=trunk.block.*"])
def test_a_glob_that_matches_nothing_is_refused(sound: Path, glob: str) -> None:
    with pytest.raises(InputError, match="matches no linear layer, such as"):
        load(sound, f"stem=fp16,{glob}")


def test_integers_are_no_weights(broken: Path) -> None:
    change(broken, ptm_head__weight=torch.zeros(64, 32, dtype=torch.int64))
    assert "ptm_head.weight is torch.int64 in model.safetensors, not of floating point" in refusal(broken)


def test_weights_are_no_views_of_the_file(broken: Path) -> None:
    """Else they would change, or crash the process, when somebody writes the file anew."""
    model = load(broken, "trunk=fp32/bf16")
    before = {name: t.clone() for name, t in model.state_dict().items()}
    size = (broken / "model.safetensors").stat().st_size
    (broken / "model.safetensors").write_bytes(b"\xff" * size)
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())


def test_the_policy_of_nothing_changes_nothing(sound: Path) -> None:
    assert str(Precision().resolve(CPU)) == "fp32"
    assert not any(isinstance(module, StoredLinear) for module in load(sound).modules())
