"""States of the stem on disk: what is found again, and what is not."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

from lowmem_fold.errors import InputError
from lowmem_fold.run import stem_cache
from lowmem_fold.run.stem_cache import StemCache
from lowmem_fold.sequences.fasta import parse_sequence

MODEL = {"fingerprint": "f00d", "precision": "fp32", "resolved_precision": "fp32", "device": "cpu"}
RECORD = parse_sequence("MKTAYIAK:GGUG", "one")


@pytest.fixture
def state() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(RECORD.num_tokens, 6)).astype(np.float32)


def test_state_is_found_again_bit_for_bit(tmp_path, state) -> None:
    StemCache(tmp_path / "a" / "b", MODEL).put(RECORD, state)
    found = StemCache(tmp_path / "a" / "b", MODEL).get(replace(RECORD, id="two", header="other"))
    assert found.dtype == np.float32
    assert found.tobytes() == state.tobytes()
    (file,) = (tmp_path / "a" / "b").iterdir()
    assert np.array_equal(np.load(file), state)  # numpy alone reads it


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("fp32", "stem=fp16"),
        ("int8", "stem=int8,trunk=fp32"),
        ("int8", "int8,include=trunk.*"),
        ("int8", "int8,exclude=esm.encoder.layer.0.*"),
    ],
    ids=["stem", "sequence track", "included layers", "excluded layers"],
)
def test_each_part_of_the_precision_that_decides_the_state_decides_its_name(tmp_path, state, one, other) -> None:
    """The two differ in that part alone."""
    caches = [StemCache(tmp_path, {**MODEL, "resolved_precision": each}) for each in (one, other)]
    caches[0].put(RECORD, state)
    assert caches[0].get(RECORD) is not None and caches[1].get(RECORD) is None


@pytest.mark.parametrize(
    "other",
    [
        lambda: (parse_sequence("MKTAYIAKG:GUG"), MODEL),
        lambda: (parse_sequence("MKTAYIAKGGUG"), MODEL),
        lambda: (RECORD, {**MODEL, "fingerprint": "beef"}),
        lambda: (RECORD, {**MODEL, "resolved_precision": "int8"}),
    ],
    ids=["chains", "one-chain", "model", "precision"],
)
def test_what_decides_the_state_decides_its_name(tmp_path, state, other) -> None:
    StemCache(tmp_path, MODEL).put(RECORD, state)
    record, model = other()
    assert StemCache(tmp_path, model).get(record) is None


def test_what_only_the_trunk_sees_does_not(tmp_path, state) -> None:
    StemCache(tmp_path, MODEL).put(RECORD, state)
    half = {**MODEL, "resolved_precision": "pair=fp16,operand=bf16", "device": "cuda"}
    assert StemCache(tmp_path, half).get(RECORD) is not None


def test_another_version_computes_again(tmp_path, state, monkeypatch) -> None:
    cache = StemCache(tmp_path, MODEL)
    cache.put(RECORD, state)
    monkeypatch.setattr(stem_cache, "code_digest", lambda: "0.0.0")
    assert cache.get(RECORD) is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: data + b"\0",
        lambda data: data[:300] + bytes([data[300] ^ 1]) + data[301:],
    ],
    ids=["empty", "last-byte", "half", "longer", "one-bit"],
)
def test_damaged_state_is_none(tmp_path, state, spoil) -> None:
    cache = StemCache(tmp_path, MODEL)
    cache.put(RECORD, state)
    (file,) = tmp_path.iterdir()
    file.write_bytes(spoil(file.read_bytes()))
    assert cache.get(RECORD) is None
    cache.put(RECORD, state)
    assert cache.get(RECORD) is not None


@pytest.mark.parametrize("shape", [(3, 6), (RECORD.num_tokens,), (RECORD.num_tokens, 2, 3)], ids=str)
def test_state_of_another_shape_is_none(tmp_path, shape) -> None:
    cache = StemCache(tmp_path, MODEL)
    cache.put(RECORD, np.zeros(shape))
    assert cache.get(RECORD) is None


def test_state_that_cannot_be_written_leaves_nothing(tmp_path, state, monkeypatch) -> None:
    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        StemCache(tmp_path, MODEL).put(RECORD, state)
    assert not list(tmp_path.iterdir())


def test_folder_within_an_output_folder_that_is_gone_is_not_made(tmp_path, state) -> None:
    with pytest.raises(OSError, match="No such file"):
        StemCache(tmp_path / "gone" / "stem", MODEL, shared=False).put(RECORD, state)
    assert not list(tmp_path.iterdir())
    StemCache(tmp_path / "made" / "stem", MODEL).put(RECORD, state)


def test_dropped_state_is_gone(tmp_path, state) -> None:
    cache = StemCache(tmp_path, MODEL)
    cache.put(RECORD, state)
    for _ in range(2):
        cache.drop(RECORD)
        assert not list(tmp_path.iterdir())


def test_place_that_is_no_folder_is_refused(tmp_path) -> None:
    (tmp_path / "file").write_text("x")
    StemCache(tmp_path / "not" / "yet", MODEL).check()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match=r"file.*--stem-cache"):
            StemCache(path, MODEL).check()
