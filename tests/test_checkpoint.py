"""Models that cannot be had or are not sound, and the errors that say so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from lowmem_fold.checkpoint import Checkpoint, find_checkpoint
from lowmem_fold.errors import ModelError


def test_fingerprint_tells_models_apart(sound: Path, broken: Path) -> None:
    before = find_checkpoint(str(sound)).fingerprint()
    assert find_checkpoint(str(broken)).fingerprint() == before
    tensors = load_file(broken / "model.safetensors")
    tensors["esm_s_combine"][0] += 1e-3
    save_file(tensors, broken / "model.safetensors", metadata={"format": "pt"})
    assert find_checkpoint(str(broken)).fingerprint() != before


def refusal(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        find_checkpoint(str(folder))
    return str(caught.value)


def test_a_damaged_policy_is_refused(broken: Path) -> None:
    assert find_checkpoint(str(broken)).policy() is None
    sound = {"schema_version": 1, "precision": {"stem": {"weights": "int8"}}}
    (broken / "precision.json").write_text(json.dumps(sound))
    assert str(find_checkpoint(str(broken)).policy()) == "stem=int8"
    damaged = [
        {"stem": {"weights": "int7"}},
        {"include": [1]},
        {"include": "esm.*"},
        {"stem": {"weights": "int8", "x": 1}},
    ]
    texts = [json.dumps({**sound, "precision": policy}) for policy in damaged]
    for text in ("{", "[]", *texts, json.dumps({**sound, "schema_version": 2})):
        (broken / "precision.json").write_text(text)
        with pytest.raises(ModelError, match=r"precision\.json is no policy"):
            find_checkpoint(str(broken)).policy()


def test_not_a_folding_model(broken: Path) -> None:
    config = json.loads((broken / "config.json").read_text())
    config["is_folding_model"] = False
    (broken / "config.json").write_text(json.dumps(config))
    assert "is no ESMFold" in refusal(broken)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_missing_file(broken: Path, name: str) -> None:
    (broken / name).unlink()
    assert {"config.json": "holds no config.json", "model.safetensors": "holds no weights"}[name] in refusal(broken)


def test_damaged_config(broken: Path) -> None:
    (broken / "config.json").write_text("{")
    assert "config.json cannot be read" in refusal(broken)
    (broken / "config.json").write_text("[]")
    assert "config.json holds no configuration, but a list" in refusal(broken)


def test_broken_download_is_not_complete(tmp_path: Path) -> None:
    shards = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    index = {"weight_map": {"a": shards[0], "b": shards[1]}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    (tmp_path / shards[0]).touch()
    assert not Checkpoint("x", tmp_path).is_complete()
    (tmp_path / shards[1]).touch()
    assert Checkpoint("x", tmp_path).is_complete()
    assert not Checkpoint("x", tmp_path / "empty").is_complete()
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"a"')
    assert not Checkpoint("x", tmp_path).is_complete()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("./no/such/folder", "there is no folder"),
        (__file__, "is a file"),
        ("no such model!", "neither a folder nor a hub id"),
        ("facebook/no_such_model", "--model demo comes with the package and works offline"),
    ],
    ids=["folder", "file", "name", "hub"],
)
def test_what_cannot_be_had(name: str, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        find_checkpoint(name)


def test_weight_files_are_found_in_either_format(tmp_path: Path) -> None:
    for name in ("model-00001-of-00002.safetensors", "pytorch_model.bin", "optimizer.pt", "config.json"):
        (tmp_path / name).touch()
    names = [file.name for file in Checkpoint("x", tmp_path).weight_files()]
    assert names == ["model-00001-of-00002.safetensors", "pytorch_model.bin"]
