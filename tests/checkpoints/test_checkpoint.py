"""Models that cannot be had or are not sound, and the errors that say so."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from huggingface_hub.utils import filter_repo_objects
from safetensors.torch import load_file, save_file
from torch import Tensor

from lowmem_fold.checkpoints import checkpoint
from lowmem_fold.checkpoints.checkpoint import Checkpoint, find_checkpoint
from lowmem_fold.errors import ModelError
from lowmem_fold.families.registry import find_folding_model


def fingerprint(folder: Path) -> str:
    return find_checkpoint(str(folder)).fingerprint()


def test_fingerprint_is_of_the_content_not_the_place(sound: Path, broken: Path) -> None:
    assert fingerprint(broken) == fingerprint(sound)


@pytest.mark.parametrize("form", ["safetensors", "bin", "safetensors shards", "bin shards"])
def test_a_change_of_any_tensor_changes_the_fingerprint(broken: Path, form: str) -> None:
    """By one last bit of one number in its middle, as little as a fine-tuned model can differ."""
    tensors = load_file(broken / "model.safetensors")
    (broken / "model.safetensors").unlink()
    written(broken, tensors, form)
    before = {fingerprint(broken)}
    weights = [name for name, tensor in tensors.items() if tensor.is_floating_point()]
    for name in weights[:: len(weights) // 5]:
        changed = tensors[name].clone()
        numbers = changed.view(-1)
        middle = numbers.numel() // 2
        numbers[middle] = torch.nextafter(numbers[middle], torch.tensor(99.0))
        written(broken, {**tensors, name: changed}, form)
        found = fingerprint(broken)
        assert found not in before, name
        before.add(found)


def written(folder: Path, tensors: dict[str, Tensor], form: str) -> None:
    safe, sharded = form.startswith("safetensors"), form.endswith("shards")
    stem, ending = ("model", "safetensors") if safe else ("pytorch_model", "bin")
    names = list(tensors)
    parts = {f"{stem}.{ending}": names}
    if sharded:
        half = len(names) // 2
        parts = {f"{stem}-1.{ending}": names[:half], f"{stem}-2.{ending}": names[half:]}
        index = {"weight_map": {name: file for file, held in parts.items() for name in held}}
        (folder / f"{stem}.{ending}.index.json").write_text(json.dumps(index))
    for file, held in parts.items():
        some = {name: tensors[name] for name in held}
        if safe:
            save_file(some, folder / file, metadata={"format": "pt"})
        else:
            torch.save(some, folder / file)


def test_what_nothing_reads_does_not_change_the_fingerprint(broken: Path) -> None:
    (broken / "vocab.txt").write_text("A\nB")
    before = fingerprint(broken)
    for name in UNREAD:
        (broken / name).write_text('{"weight_map": {"a": "no such file"}}')
        assert fingerprint(broken) == before, name


#: Beside model.safetensors and vocab.txt.
UNREAD = (
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "model.safetensors.index.json",
    "tf_model.h5",
    "tf_model.h5.index.json",
    "flax_model.msgpack.index.json",
    "model_quant.safetensors",
    "optimizer.pt",
    "tokenizer.json",
    "README.md",
)


@pytest.mark.parametrize("name", ["config.json", "vocab.txt"])
def test_what_is_read_beside_weights_changes_the_fingerprint(broken: Path, name: str) -> None:
    """The vocabulary says which number a residue is to a language model."""
    (broken / "vocab.txt").write_text("A\nB")
    before = fingerprint(broken)
    (broken / name).write_text((broken / name).read_text() + "\n")
    assert fingerprint(broken) != before


def test_weights_that_cannot_be_read_have_no_fingerprint(broken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(checkpoint, "file_digest", fail)
    with pytest.raises(ModelError, match=r"config\.json cannot be read \(PermissionError"):
        fingerprint(broken)


def refusal(folder: Path, find: Callable[[str], object] = find_checkpoint) -> str:
    with pytest.raises(ModelError) as caught:
        find(str(folder))
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
        with pytest.raises(ModelError, match=r"precision\.json is not a policy"):
            find_checkpoint(str(broken)).policy()


def test_not_a_folding_model(broken: Path) -> None:
    config = json.loads((broken / "config.json").read_text())
    config["is_folding_model"] = False
    (broken / "config.json").write_text(json.dumps(config))
    assert "is not an ESMFold" in refusal(broken, find_folding_model)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_missing_file(broken: Path, name: str) -> None:
    (broken / name).unlink()
    assert {"config.json": "holds no config.json", "model.safetensors": "holds no weights"}[name] in refusal(broken)


def test_damaged_config(broken: Path) -> None:
    (broken / "config.json").write_text("{")
    assert "config.json cannot be read" in refusal(broken)
    (broken / "config.json").write_text("[]")
    assert "config.json holds no configuration, but a list" in refusal(broken)
    (broken / "config.json").write_text('{"model_type": "esm", "is_folding_model": true, "esmfold_config": 5}')
    assert "config.json: esmfold_config is not an object: 5" in refusal(broken, find_folding_model)


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


@pytest.mark.parametrize("name", UNREAD)
def test_files_that_nothing_reads_do_not_make_a_model_incomplete(broken: Path, name: str) -> None:
    """Indices of TensorFlow, flax and .bin name shards that nobody fetched."""
    (broken / name).write_text('{"weight_map": {"a": "no such file"}}')
    assert Checkpoint("x", broken).is_complete()


def test_a_model_in_the_hubs_cache_is_found_offline(
    broken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fetched whole but for weights of TensorFlow, whose index came with the other .json files."""
    snapshot = tmp_path / "hub" / "models--some--fold" / "snapshots" / ("b" * 40)
    snapshot.parent.mkdir(parents=True)
    (broken / "tf_model.h5.index.json").write_text('{"weight_map": {"a": "tf_model-1.h5"}}')
    shutil.copytree(broken, snapshot)
    (tmp_path / "hub" / "models--some--fold" / "refs").mkdir()
    (tmp_path / "hub" / "models--some--fold" / "refs" / "main").write_text("b" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    assert find_checkpoint("some/fold").path.samefile(snapshot)
    (snapshot / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="some/fold is not in the Hugging Face cache"):
        find_checkpoint("some/fold")


def test_only_what_is_read_is_fetched(broken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["config.json", "vocab.txt", "model.safetensors", *UNREAD]
    asked = {}

    def snapshot_download(model: str, local_files_only: bool = False, **patterns: list[str]) -> str:
        if local_files_only:
            raise LocalEntryNotFoundError("no")
        asked.update(patterns)
        return str(broken)

    info = SimpleNamespace(siblings=[SimpleNamespace(rfilename=name) for name in names])
    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: SimpleNamespace(model_info=lambda *_, **__: info))
    find_checkpoint("some/fold")
    fetched = filter_repo_objects(names, **asked)
    assert set(fetched) == {"config.json", "vocab.txt", "model.safetensors", "tokenizer.json"}


def test_an_adapter_beside_the_weights_is_refused(broken: Path) -> None:
    """Stock transformers applies it where peft is installed: folds without it would pass for those with it."""
    (broken / "adapter_config.json").write_text("{}")
    assert "an adapter beside the weights (adapter_config.json)" in refusal(broken)


def test_weights_of_another_name_are_refused(broken: Path) -> None:
    """Stock transformers would read the file that the configuration names."""
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps({**config, "transformers_weights": "other.safetensors"}))
    assert "config.json: transformers_weights is 'other.safetensors'" in refusal(broken)


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
