"""Models written in the form they are stored in, and unpacked again."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import (
    AutoModel,
    BertForPreTraining,
    EsmForMaskedLM,
    EsmForProteinFolding,
    EsmForSequenceClassification,
    EsmModel,
    T5ForConditionalGeneration,
)

from lowmem_fold import load, loading
from lowmem_fold.bench.models import random_model, small_config
from lowmem_fold.checkpoints import saving
from lowmem_fold.checkpoints.inventory import inventory, weight_tensors
from lowmem_fold.cli.main import main
from lowmem_fold.errors import InputError, ModelError
from lowmem_fold.esmfold.modules import ESMFOLD
from lowmem_fold.predictions.prediction import Prediction
from lowmem_fold.quantization.registry import unavailable
from lowmem_fold.quantization.stored import StoredLinear
from lowmem_fold.system.lock import FolderLock
from tests.backbones.models import BERT, ESM, T5_PIECES, bert_config, esm_config, lines, pieces, t5_config

QUANTIZED = ("fp16", "bf16", "int8", "int4", "float8", "bnb-int8", "bnb-nf4")
SEQUENCE = "MKTAYIAKQRQISFVKSHFSRQ:GSHMLEDP"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "source"
    model = random_model(small_config())
    for name, buffer in model.named_buffers():
        if name.endswith("inv_freq"):
            buffer.copy_(buffer.half())  # as the published ones are: worked out anew they would be others
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("<cls>\n<pad>")
    return folder


def written(source: Path, out: Path, precision: str) -> Path:
    if reason := unavailable(precision, torch.device("cpu")):
        pytest.skip(reason)
    assert main(["quantize", "-m", str(source), "--precision", precision, "-o", str(out)]) == 0
    return out


def same(one: Prediction, other: Prediction) -> None:
    for name in ("positions", "plddt", "pae"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    assert one.ptm == other.ptm


@pytest.mark.parametrize("precision", QUANTIZED)
def test_a_written_folder_folds_as_quantizing_at_load_does(source: Path, tmp_path: Path, precision: str) -> None:
    out = written(source, tmp_path / "out", precision)
    at_load, stored = load(str(source), precision=precision, device="cpu"), load(str(out), device="cpu")
    assert str(stored.precision) == precision
    same(at_load.fold(SEQUENCE, num_recycles=1), stored.fold(SEQUENCE, num_recycles=1))
    assert inventory(stored.model) == inventory(at_load.model)


def test_a_written_folder_needs_neither_source_nor_back_end(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = written(source, tmp_path / "out", "int8")
    monkeypatch.setattr(loading, "unavailable", lambda *_: "not installed")
    with pytest.raises(InputError, match="precision int8: not installed"):
        load(str(source), precision="int8", device="cpu")
    load(str(out), device="cpu")


def test_what_is_written(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = written(source, tmp_path / "out", "int8")
    assert sorted(file.name for file in out.iterdir()) == [
        "README.md", "config.json", "model.safetensors", "precision.json", "vocab.txt",
    ]  # fmt: skip
    about = json.loads((out / "precision.json").read_text())
    assert about["source"]["fingerprint"] in (out / "README.md").read_text()
    found = inventory(load(str(out), device="cpu").model)
    assert about["inventory"] == found
    bits = f"{found['stem']['bits_per_weight']:.2f}"
    assert bits in (out / "README.md").read_text() and bits in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_bytes_are_counted_as_they_are_held(source: Path) -> None:
    if reason := unavailable("int8", torch.device("cpu")):
        pytest.skip(reason)
    model, stock = load(str(source), precision="int8", device="cpu").model, random_model(small_config())
    stock.architecture = ESMFOLD
    held = [*model.parameters(), *(b for m in model.modules() if isinstance(m, StoredLinear) for b in m.buffers(False))]
    found, plain = inventory(model), inventory(stock)
    assert found["total"]["bytes"] == sum(t.untyped_storage().nbytes() for t in held)
    assert found["total"]["weights"] == plain["total"]["weights"]
    assert plain["total"]["bits_per_weight"] == 32 and plain["total"]["formats"] == {"fp32": plain["total"]["weights"]}
    assert 8 < found["stem"]["bits_per_weight"] < 12
    assert found["pair-modules"] == plain["pair-modules"]


def test_tensors_of_a_layer_lie_together_and_map(source: Path, tmp_path: Path) -> None:
    out = written(source, tmp_path / "out", "int4")
    model = load(str(out), device="cpu").model
    data = (out / "model.safetensors").read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header.pop("__metadata__")
    assert size % 8 == 0
    ends = [entry["data_offsets"] for entry in header.values()]
    assert [start for start, _ in ends] == [0, *(end for _, end in ends[:-1])] and ends[-1][1] == len(data) - 8 - size
    names = [f"{name}.{key}" if name else key for name, _, held in weight_tensors(model) for key in held]
    names += [name for name, _ in model.named_buffers() if name.endswith("inv_freq")]
    odd = [name for name in header if (ends[list(header).index(name)][1] - ends[list(header).index(name)][0]) % 8]
    assert list(header) == [name for name in names if name not in odd] + odd
    assert all(start % 8 == 0 for name, (start, _) in zip(header, ends, strict=True) if name not in odd)
    with safe_open(out / "model.safetensors", "pt") as file:
        for name, _, held in weight_tensors(model):
            for key, tensor in held.items():
                read = file.get_tensor(f"{name}.{key}" if name else key)
                assert torch.equal(read.view(torch.uint8), tensor.contiguous().view(torch.uint8))


@pytest.mark.parametrize("precision", ["int8", "bnb-nf4"])
def test_unpacked_it_loads_in_stock(source: Path, tmp_path: Path, precision: str) -> None:
    out = written(source, tmp_path / "small", precision)
    assert main(["quantize", "-m", str(out), "--dequantize", "-o", str(tmp_path / "plain")]) == 0
    loaded, info = EsmForProteinFolding.from_pretrained(tmp_path / "plain", output_loading_info=True)
    assert not any(info.values()), info
    stock = dict(loaded.named_parameters())
    held = load(str(out), device="cpu").model
    original = dict(random_model(small_config()).named_parameters())
    for name, weight in stock.items():
        module = held.get_submodule(name.rpartition(".")[0])
        expected = module.weight if isinstance(module, StoredLinear) and name.endswith("weight") else original[name]
        assert torch.equal(weight, expected), name
        bound = {"int8": 0.01, "bnb-nf4": 0.2}[precision] * original[name].abs().max()
        assert (weight - original[name]).abs().max() <= bound, name


def test_unpacking_is_exact_whatever_is_computed_in(source: Path, tmp_path: Path) -> None:
    out = written(source, tmp_path / "small", "trunk=int8/bf16")
    assert main(["quantize", "-m", str(out), "--dequantize", "-o", str(tmp_path / "plain")]) == 0
    plain = load_file(tmp_path / "plain" / "model.safetensors")["esm_s_mlp.1.weight"]
    exact = load(str(source), precision="trunk=int8/fp32", device="cpu").model.esm_s_mlp[1].weight
    assert torch.equal(plain, exact)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_half_precision_written_on_one_device_loads_for_another(source: Path, tmp_path: Path, precision: str) -> None:
    """Here the weights are widened for each product; on a card that computes in them, an ordinary layer holds them."""
    out = written(source, tmp_path / "out", precision)
    trunk = precision if precision == "bf16" else "fp32"
    there = load(str(out), precision=f"stem={precision}/{precision},trunk={trunk}", device="cpu")
    layer, here = (f.model.esm.encoder.layer[0].output.dense for f in (there, load(str(out), device="cpu")))
    assert type(layer) is torch.nn.Linear
    assert isinstance(here, StoredLinear) and torch.equal(layer.weight, here.data)


def test_only_what_belongs_to_the_model_is_copied(source: Path, tmp_path: Path) -> None:
    crowded = Path(shutil.copytree(source, tmp_path / "crowded"))
    (crowded / "tf_model.h5").write_text("large")
    (crowded / "checkpoint-1").mkdir()
    (crowded / "NOTICE").write_text("whose it is")
    out = written(crowded, tmp_path / "out", "fp16")
    assert {file.name for file in out.iterdir()} == {
        "README.md", "NOTICE", "config.json", "model.safetensors", "precision.json", "vocab.txt",
    }  # fmt: skip
    assert str(tmp_path) not in (out / "README.md").read_text() + (out / "precision.json").read_text()


def test_refusals(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = written(source, tmp_path / "out", "int8")
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    for arguments, said in (
        (["-m", str(source), "--precision", "int4", "-o", str(out)], "exists already"),
        (["-m", str(out), "--precision", "int4", "-o", str(tmp_path / "x")], "is quantized already (int8)"),
        (["-m", str(source), "--dequantize", "-o", str(tmp_path / "x")], "is not quantized"),
        (["-m", str(source), "--precision", "int4", "-o", " "], "-o is empty"),
        (
            ["-m", str(source), "--precision", "int4", "-o", str(out / "config.json" / "x")],
            "config.json is not a folder",
        ),
        (["-m", str(source), "--precision", "int4,include=nowhere.*", "-o", str(tmp_path / "x")], "matches no linear"),
        (["-m", str(source), "--precision", "int9", "-o", str(tmp_path / "x")], "unknown precision 'int9'"),
    ):
        assert main(["quantize", *arguments]) == 2
        assert said in capsys.readouterr().err
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    assert not (tmp_path / "x").exists()
    with pytest.raises(InputError, match="is stored as int8 and cannot be loaded as int4"):
        load(str(out), precision="int4", device="cpu")
    assert str(load(str(out), precision="int8,pair=bf16", device="cpu").precision) == "stem=int8,trunk=int8,pair=bf16"


def test_an_interrupted_write_leaves_nothing(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(path: Path, entries: list) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(saving, "write_safetensors", stop)
    folder = load(str(source), precision="fp16", device="cpu")
    with pytest.raises(KeyboardInterrupt):
        saving.save_quantized(folder.model, folder.checkpoint, folder.precision, tmp_path / "out")
    assert os.listdir(tmp_path) == []


def test_a_damaged_folder_is_named(source: Path, tmp_path: Path) -> None:
    out = written(source, tmp_path / "out", "int8")
    data = (out / "model.safetensors").read_bytes()
    (out / "model.safetensors").write_bytes(data[:-100])
    with pytest.raises(ModelError, match=r"model\.safetensors cannot be read"):
        load(str(out), device="cpu")


def test_stock_refuses_what_it_cannot_read(source: Path, tmp_path: Path) -> None:
    """Else it would load random weights, with a report alone. A dequantized folder is an ordinary one again."""
    out = written(source, tmp_path / "small", "int8")
    for loader in (EsmForProteinFolding, EsmModel, AutoModel):
        with pytest.raises(ValueError, match="stored by `lowmem-fold quantize` and read by `lowmem_fold"):
            loader.from_pretrained(out)
    assert main(["quantize", "-m", str(out), "--dequantize", "-o", str(tmp_path / "plain")]) == 0
    assert json.loads((tmp_path / "plain" / "config.json").read_text()) == json.loads(
        (source / "config.json").read_text()
    )


def test_a_folder_from_before_the_mark_is_read(source: Path, tmp_path: Path) -> None:
    out = written(source, tmp_path / "old", "int8")
    expected = load(str(out), device="cpu").fold(SEQUENCE, num_recycles=0)
    shutil.copyfile(source / "config.json", out / "config.json")
    same(load(str(out), device="cpu").fold(SEQUENCE, num_recycles=0), expected)


HEADS = {
    "contact head and pooler": lambda: EsmModel(esm_config(), add_pooling_layer=True),
    "classifier": lambda: EsmForSequenceClassification(esm_config(num_labels=3)),
    "language model": lambda: EsmForMaskedLM(esm_config()),
    "next sentence": lambda: BertForPreTraining(bert_config(30)),
    "decoder": lambda: T5ForConditionalGeneration(t5_config(128)),
}


@pytest.mark.parametrize("case", HEADS)
def test_heads_that_are_not_used_here_are_kept(tmp_path: Path, case: str) -> None:
    """Stock finds each tensor again in what was quantized and unpacked, those of heads with each bit."""
    torch.manual_seed(0)
    model = HEADS[case]()
    model.save_pretrained(tmp_path / "source")
    lines(tmp_path / "source", BERT if case == "next sentence" else ESM)
    if case == "decoder":
        (tmp_path / "source" / "vocab.txt").unlink()
        pieces(tmp_path / "source", T5_PIECES)
    quantized, plain = tmp_path / "quantized", tmp_path / "plain"
    assert main(["quantize", "-m", str(tmp_path / "source"), "--precision", "bf16", "-o", str(quantized)]) == 0
    assert "tensors for other tasks" in (quantized / "README.md").read_text()
    assert main(["quantize", "-m", str(quantized), "--dequantize", "-o", str(plain)]) == 0
    found, info = type(model).from_pretrained(plain, output_loading_info=True)
    assert not any(info.values()), info
    before, after = model.state_dict(), found.state_dict()
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        stem = "encoder.layer." in name or "encoder.block." in name
        assert torch.equal(after[name], tensor) or (stem and torch.equal(after[name], tensor.bfloat16().float())), name


def test_a_killed_run_is_cleared_away(source: Path, tmp_path: Path) -> None:
    """By the next one that writes beside it, under whatever name; that of one that lives, or of others, is left."""
    for name, process in (("dead", 999999999), ("alive", os.getpid())):
        scratch = tmp_path / f".{name}.lowmem_fold.partial"
        (scratch / "model").mkdir(parents=True)
        (scratch / "model" / "model.safetensors").write_text("half")
        (scratch / ".lowmem_fold.lock").write_text(f"process {process}\n")
    (tmp_path / ".other.partial").mkdir()
    with FolderLock(tmp_path / ".alive.lowmem_fold.partial"):
        written(source, tmp_path / "out", "fp16")
        assert sorted(os.listdir(tmp_path)) == [".alive.lowmem_fold.partial", ".other.partial", "out"]
        assert (tmp_path / ".alive.lowmem_fold.partial" / "model" / "model.safetensors").exists()
    assert "model.safetensors" in os.listdir(tmp_path / "out")


def test_two_runs_never_write_one_folder(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scratch = tmp_path / ".out.lowmem_fold.partial"
    scratch.mkdir()
    with FolderLock(scratch):
        assert main(["quantize", "-m", str(source), "--precision", "fp16", "-o", str(tmp_path / "out")]) == 2
    assert "another run" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_link_is_not_written_through(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "theirs" / "model").mkdir(parents=True)
    (tmp_path / ".out.lowmem_fold.partial").symlink_to(tmp_path / "theirs")
    assert main(["quantize", "-m", str(source), "--precision", "fp16", "-o", str(tmp_path / "out")]) == 2
    assert ".out.lowmem_fold.partial is a link" in capsys.readouterr().err
    assert (tmp_path / "theirs" / "model").exists()


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_stopped_run_says_so_and_leaves_nothing(
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    code: int,
) -> None:
    def stop(path: Path, entries: list) -> None:
        path.write_bytes(b"half")
        os.kill(os.getpid(), getattr(signal, name))

    monkeypatch.setattr(saving, "write_safetensors", stop)
    assert main(["quantize", "-m", str(source), "--precision", "fp16", "-o", str(tmp_path / "out")]) == code
    assert f"stopped by {name}; nothing is left of {tmp_path / 'out'}" in capsys.readouterr().err
    assert os.listdir(tmp_path) == []


def test_a_run_that_is_stopped_as_it_begins_leaves_nothing(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(lock: FolderLock) -> None:
        (tmp_path / ".out.lowmem_fold.partial" / ".lowmem_fold.lock").touch()
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(FolderLock, "__enter__", stop)
    assert main(["quantize", "-m", str(source), "--precision", "fp16", "-o", str(tmp_path / "out")]) == 143
    assert os.listdir(tmp_path) == []
