"""Options that are refused, and which of them decide the numbers."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest

from lowmem_fold.errors import InputError, ModelError
from lowmem_fold.run.options import RunOptions, known_settings, result_settings
from lowmem_fold.system.settings import differing_settings, settings_id

MODEL = {"fingerprint": "f00d", "precision": "fp32"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_recycles", -1),
        ("num_recycles", 1.5),
        ("num_recycles", True),
        ("chunk_size", 0),
        ("chunk_size", -64),
        ("max_tokens_per_batch", -1),
        ("recycle_tolerance", 0.0),
        ("recycle_tolerance", -1.0),
        ("recycle_tolerance", float("nan")),
        ("recycle_tolerance", float("inf")),
        ("format", "PDB"),
        ("device", "tpu"),
        ("device", "cuda:x"),
        ("model", " "),
        ("memory", "8 bananas"),
        ("memory", 0),
        ("host_memory", "GB"),
        ("placement", "disk"),
        ("stem_cache", " "),
    ],
)
def test_wrong_value_is_refused_by_name_and_value(name, value):
    with pytest.raises(InputError) as caught:
        RunOptions(**{name: value})
    assert f"--{name.replace('_', '-')}" in str(caught.value)
    assert value == " " or repr(value) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_recycles", 0),
        ("chunk_size", 1),
        ("max_tokens_per_batch", 0),
        ("recycle_tolerance", 1),
        ("device", "cuda:1"),
        ("memory", 2**20),
        ("memory", "7.5GiB"),
        ("allow_precision", ("int8", "stem=int8,trunk=fp32")),
    ],
)
def test_smallest_and_odd_values_are_taken(name, value):
    assert getattr(RunOptions(**{name: value}), name) == value


def test_scores_are_the_last_file():
    assert RunOptions(format="both", save_pae=True).endings == (".pdb", ".cif", ".pae.json", ".scores.json")


def test_precision_to_step_down_to_is_checked():
    with pytest.raises(InputError, match="unknown precision 'int9'"):
        RunOptions(allow_precision=("int8", "int9"))


OTHER = {
    "model": "copy",
    "precision": "fp32",  # what it is anyhow: the model says what it is stored in
    "device": "cuda",
    "memory": "8GB",
    "host_memory": 2**33,
    "placement": "staged",
    "allow_precision": ("int8",),
    "stem_cache": "cache",
    "num_recycles": 1,
    "recycle_tolerance": 0.5,
    "chunk_size": 16,
    "max_tokens_per_batch": 512,
    "format": "cif",
    "save_pae": True,
    "overwrite": True,
    "allow_nucleotide_letters": True,
    "adopt": True,
}


@pytest.mark.parametrize("name", [field.name for field in fields(RunOptions)])
def test_results_may_stand_together_unless_the_numbers_differ(name):
    plain = result_settings(RunOptions(), MODEL)
    other = result_settings(RunOptions(**{name: OTHER[name]}), MODEL)
    decides = name in ("num_recycles", "recycle_tolerance")
    assert (settings_id(plain) != settings_id(other)) is decides
    assert differing_settings(plain, other) == ([name] if decides else [])


def test_another_precision_is_seen_before_a_model_is_loaded():
    stored = result_settings(RunOptions(), MODEL)
    assert differing_settings(stored, known_settings(RunOptions())) == []
    assert differing_settings(stored, known_settings(RunOptions(precision="stem=fp32"))) == []
    assert differing_settings(stored, known_settings(RunOptions(precision="int8"))) == ["precision"]


def test_a_quantized_folder_says_its_precision_before_it_is_loaded(tmp_path):
    plain, quantized = tmp_path / "plain", tmp_path / "quantized"
    for folder in (plain, quantized):
        folder.mkdir()
    policy = {"schema_version": 1, "precision": {"stem": {"weights": "int8"}, "trunk": {"weights": "int8"}}}
    (quantized / "precision.json").write_text(json.dumps(policy))
    assert known_settings(RunOptions(model=str(plain)))["precision"] == "fp32"
    assert known_settings(RunOptions(model=str(quantized)))["precision"] == "int8"
    assert "precision" not in known_settings(RunOptions(model="facebook/esmfold_v1"))  # the hub may hold either


@pytest.mark.parametrize("name", ["fingerprint", "precision"])
def test_model_decides_the_numbers(name):
    plain, other = (result_settings(RunOptions(), model) for model in (MODEL, {**MODEL, name: "other"}))
    assert settings_id(plain) != settings_id(other)
    assert differing_settings(plain, other) == [name]


def test_words_are_taken_in_any_case():
    options = RunOptions(device="GPU:1", precision="INT8,Pair=FP16", allow_precision=("Int4",), memory="8G")
    assert (options.device, options.precision, options.allow_precision) == ("cuda:1", "int8,pair=fp16", ("int4",))


@pytest.mark.parametrize(("text", "said"), [("{", "cannot be read"), ("[]", "holds no configuration, but a list")])
def test_a_model_that_cannot_be_read_is_refused_before_it_is_loaded(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ModelError, match=rf"config\.json {said}"):
        known_settings(RunOptions(model=str(tmp_path)))
