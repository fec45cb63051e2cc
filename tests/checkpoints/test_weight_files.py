"""Which files a model's weights are read from: those that stock transformers reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import EsmForProteinFolding

from lowmem_fold.checkpoints.weight_files import WeightFiles, chosen_files, chosen_patterns
from lowmem_fold.errors import ModelError

SAFE, SAFE_INDEX = "model.safetensors", "model.safetensors.index.json"
BIN, BIN_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
SAFE_SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
BIN_SHARDS = ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"]


def fill(folder: Path, names: list[str]) -> None:
    for name in names:
        shards = SAFE_SHARDS if name == SAFE_INDEX else BIN_SHARDS
        text = json.dumps({"weight_map": dict(zip("ab", shards, strict=True))}) if name.endswith(".json") else ""
        (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("there", "read"),
    [
        ([SAFE], [SAFE]),
        ([SAFE, "model_quant.safetensors", "model.fp16.safetensors", "adapter_model.safetensors"], [SAFE]),
        ([SAFE, SAFE_INDEX], [SAFE]),
        ([SAFE, BIN, BIN_INDEX], [SAFE]),
        ([SAFE_INDEX, *SAFE_SHARDS, "model-00001-of-00003.safetensors", BIN], SAFE_SHARDS),
        ([BIN, "pytorch_model.old.bin"], [BIN]),
        ([BIN, BIN_INDEX, "model_quant.safetensors"], [BIN]),
        ([BIN_INDEX, *BIN_SHARDS], BIN_SHARDS),
    ],
)
def test_the_files_are_those_that_stock_reads(tmp_path: Path, there: list[str], read: list[str]) -> None:
    """The order is that of `_get_resolved_checkpoint_files` in transformers' modeling_utils.py."""
    fill(tmp_path, there)
    assert [file.name for file in chosen_files(tmp_path)] == read


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ([], r"holds no weights \(model\.safetensors or pytorch_model\.bin\)$"),
        (["model_quant.safetensors"], r"; model_quant\.safetensors cannot be read without an index, or under that"),
        (SAFE_SHARDS, r"; model-00001-of-00002\.safetensors, model-00002-of-00002\.safetensors cannot be read without"),
        ([SAFE_INDEX, SAFE_SHARDS[0], BIN], r"model-00002-of-00002\.safetensors is missing, and model\.safeten"),
    ],
)
def test_what_is_not_there_is_named(tmp_path: Path, there: list[str], said: str) -> None:
    fill(tmp_path, there)
    with pytest.raises(ModelError, match=said):
        chosen_files(tmp_path)


def test_only_what_would_be_read_is_fetched() -> None:
    assert chosen_patterns([SAFE, SAFE_INDEX, "model_quant.safetensors", BIN]) == [SAFE]
    assert chosen_patterns([SAFE_INDEX, *SAFE_SHARDS, BIN]) == [SAFE_INDEX, "*.safetensors"]
    assert chosen_patterns([BIN, BIN_INDEX, "tf_model.h5"]) == [BIN]
    assert chosen_patterns([BIN_INDEX, *BIN_SHARDS, "tf_model.h5.index.json"]) == [BIN_INDEX, "*.bin"]
    assert chosen_patterns(["config.json", "tf_model.h5"]) == []


def test_weights_beside_the_models_change_nothing(sound: Path, broken: Path) -> None:
    """A copy in another precision, and the index of shards that were joined since."""
    doubled = {name: tensor * 2 for name, tensor in load_file(broken / SAFE).items()}
    save_file(doubled, broken / "model_quant.safetensors")
    fill(broken, [SAFE_INDEX])
    files, expected = WeightFiles(broken), WeightFiles(sound)
    assert list(files) == list(expected)
    assert all(torch.equal(files.get(name), expected.get(name)) for name in files)
    for name, parameter in EsmForProteinFolding.from_pretrained(broken).named_parameters():
        assert torch.equal(files.get(name), parameter), name
