"""A run over many records: it goes on, it mixes nothing, and it leaves nothing out."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

from lowmem_fold.backbones import batches, embed_run
from lowmem_fold.backbones.embed import embed
from lowmem_fold.backbones.embed_run import embed_records, log_file
from lowmem_fold.backbones.loading import load_backbone
from lowmem_fold.backbones.recipe import make_recipe
from lowmem_fold.backbones.stores import database, read_embeddings
from lowmem_fold.errors import InputError
from lowmem_fold.sequences.records import Record

SEQUENCES = {
    "long": "MKTAYIAKQRQISFVKSHFSRQACDEFGHIK",
    "tiny": "W",
    "one": "MVLSPADKTNVKAAW",
    "copy": "MVLSPADKTNVKAAW",
    "unusual": "MUOBZJX",
    "two": "MVLSPADKTNVK",
}
RECORDS = [Record(id, id, (sequence,), (), f"in.fasta, record {id}") for id, sequence in SEQUENCES.items()]


@pytest.fixture(scope="module")
def model(family_folder):
    return load_backbone(family_folder("esm2"), device="cpu")


@pytest.fixture
def backbone(model, monkeypatch):
    """Counts its batches; `limit` tokens are all that has room, resident."""
    monkeypatch.setattr(batches, "release_memory", lambda: None)
    if model.placement != "resident":  # another test has stepped it down
        model.place("resident")
    monkeypatch.setattr(model, "runs", [], raising=False)
    monkeypatch.setattr(model, "limit", 10**6, raising=False)
    monkeypatch.setattr(model, "fails", "", raising=False)
    run = model.hidden_states

    def hidden_states(tokens, layers, receive):
        size = len(tokens) * max(map(len, tokens))
        model.runs.append((model.placement, size))
        if model.placement == "resident" and size > model.limit:
            raise torch.OutOfMemoryError("no room")
        if model.fails and model.family.encode(model.fails) in tokens:
            raise RuntimeError("no luck")
        run(tokens, layers, receive)

    monkeypatch.setattr(model, "hidden_states", hidden_states)
    return model


@pytest.fixture(params=[".h5", ".sqlite"], ids=["hdf5", "sqlite"])
def out(request, tmp_path):
    return tmp_path / f"out{request.param}"


def embedded(backbone, out, records=RECORDS, overwrite=False, max_tokens=40, load=None, asked=None, **recipe):
    recipe = make_recipe(**{"pool": "mean", "residues": True, **recipe})
    asked = asked or {"model": backbone and str(backbone.checkpoint.path), "precision": None}
    return embed_records(
        records, out, load or (lambda: backbone), recipe, asked, max_tokens=max_tokens, overwrite=overwrite
    )


def check(out, model, sequences=SEQUENCES, **recipe):
    """The file has each record, in this order, as it is by itself."""
    with read_embeddings(out) as found:
        assert list(found) == list(sequences)
        for id, sequence in sequences.items():
            (expected,) = embed(model, [sequence], **{"pool": "mean", "residues": True, **recipe})
            for name, array in expected.arrays.items():
                np.testing.assert_allclose(found[id].arrays[name], array, rtol=0, atol=1e-5 * np.abs(array).max())


def no_model():
    raise AssertionError("a model was loaded")


def test_all_records_in_their_order(backbone, out):
    summary = embedded(backbone, out)
    assert summary.embedded == list(SEQUENCES) and summary.unique == 5
    assert not (summary.failed or summary.skipped or summary.truncated or summary.placement)
    assert len(backbone.runs) > 1
    check(out, backbone)
    assert [entry.name for entry in out.parent.iterdir()] == [out.name]


def test_what_is_there_is_not_run_again(backbone, out):
    embedded(backbone, out, RECORDS[:3])
    before = len(backbone.runs)
    summary = embedded(backbone, out)
    assert summary.skipped == ["long", "tiny", "one", "copy"] and summary.embedded == ["unusual", "two"]
    assert sum(size for _, size in backbone.runs[before:]) <= 2 * 14
    check(out, backbone)
    assert embedded(backbone, out, load=no_model).skipped == list(SEQUENCES)


def test_models_are_told_apart_by_their_weights(backbone, family_folder, out, tmp_path):
    """The same ones in another place are the same, others in the same place are not."""
    embedded(backbone, out)
    place = tmp_path / "elsewhere"
    shutil.copytree(family_folder("esm2"), place)
    asked = {"model": str(place), "precision": None}
    assert embedded(backbone, out, load=no_model, asked=asked).skipped == list(SEQUENCES)
    shutil.rmtree(place)
    shutil.copytree(family_folder("esm1"), place)
    with pytest.raises(InputError, match=r"--model: esm2 \(fingerprint .* there, elsewhere \(fingerprint"):
        embedded(None, out, load=lambda: load_backbone(place, device="cpu"), asked=asked)


def test_word_for_the_precision_is_looked_at(backbone, out):
    embedded(backbone, out)
    asked = {"model": str(backbone.checkpoint.path), "precision": "fp32"}
    with pytest.raises(AssertionError, match="a model was loaded"):
        embedded(backbone, out, load=no_model, asked=asked)
    assert embedded(backbone, out, asked=asked).skipped == list(SEQUENCES)


def interrupt(backbone, out, monkeypatch, after):
    """A run that is stopped after so many batches of one record."""
    run = backbone.hidden_states

    def stopping(*arguments):
        if len(backbone.runs) == after:
            raise KeyboardInterrupt
        run(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(backbone, "hidden_states", stopping)
        with pytest.raises(KeyboardInterrupt):
            embedded(backbone, out, max_tokens=1)


def test_interrupted_run_goes_on(backbone, out, monkeypatch):
    interrupt(backbone, out, monkeypatch, after=2)
    assert not out.exists() and log_file(out).exists()
    assert embedded(backbone, out, max_tokens=1).unique == 3
    assert len(backbone.runs) == 5
    check(out, backbone)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"layers": 2}, "--layers: 3 there, 2 now"),
        ({"pool": "max"}, "--pool: mean there, max now"),
        ({"residues": False}, "--residues: yes there, no now"),
        ({"long": "truncate", "max_length": 31}, "--long: refuse there, truncate now"),
    ],
    ids=["layers", "pool", "residues", "long"],
)
def test_kinds_are_not_mixed(backbone, out, change, named):
    embedded(backbone, out)
    before = out.read_bytes()
    with pytest.raises(InputError, match=named):
        embedded(backbone, out, **change)
    assert out.read_bytes() == before
    embedded(backbone, out, RECORDS[:2], overwrite=True, **change)
    check(out, backbone, {id: SEQUENCES[id] for id in ("long", "tiny")}, **change)


@pytest.mark.parametrize(
    ("case", "precision", "named"),
    [("esm2", "fp16", "--precision: fp32 there, fp16 now"), ("esm1", None, r"--model: esm2 \(fingerprint .*esm1")],
    ids=["precision", "model"],
)
def test_models_and_precisions_are_not_mixed(backbone, family_folder, out, case, precision, named):
    embedded(backbone, out)
    other = load_backbone(family_folder(case), precision, device="cpu")
    with pytest.raises(InputError, match=named):
        embedded(other, out, asked={"model": str(other.checkpoint.path), "precision": precision})


def test_same_layer_by_another_name_is_the_same(backbone, out):
    embedded(backbone, out, RECORDS[:2], layers="last")
    embedded(backbone, out, layers=3)
    check(out, backbone)


def test_id_of_another_sequence(backbone, out):
    embedded(backbone, out)
    changed = [Record("one", "one", ("MKT",), (), "in.fasta, record 1 (line 1)")]
    with pytest.raises(InputError, match=r"'one' is there from another sequence \(15 residues there, 3 now\)"):
        embedded(backbone, out, changed)
    embedded(backbone, out, changed, overwrite=True)
    check(out, backbone, {"one": "MKT"})


def test_memory_that_runs_out_loses_nothing(backbone, out):
    backbone.limit = 33  # of the longest alone
    summary = embedded(backbone, out, max_tokens=200)
    assert summary.embedded == list(SEQUENCES) and summary.placement is None
    assert max(size for _, size in backbone.runs) > 33
    check(out, backbone)


def test_single_record_without_room_steps_the_placement_down(backbone, out):
    backbone.limit = 20
    summary = embedded(backbone, out)
    assert summary.placement == "streamed"
    assert summary.embedded == list(SEQUENCES) and not summary.failed
    check(out, backbone)
    with read_embeddings(out) as found:
        assert found.settings["about"]["placement"] == "streamed"
    backbone.place("resident")


def flip_bit(path, numbers):
    data = bytearray(path.read_bytes())
    place = data.find(numbers.tobytes())
    assert place > 0
    data[place + 2] ^= 1
    path.write_bytes(data)


def test_damaged_record_is_made_anew(backbone, out):
    embedded(backbone, out)
    with read_embeddings(out) as found:
        numbers = found["two"].residues
    flip_bit(out, numbers)
    summary = embedded(backbone, out)
    assert summary.embedded == summary.renewed == ["two"] and summary.unique == 1 and not summary.lost
    check(out, backbone)
    assert embedded(backbone, out, load=no_model).skipped == list(SEQUENCES)


def test_damaged_record_that_cannot_be_made_anew(backbone, out):
    """It fails now, or is not of this input: the file holds it no longer."""
    embedded(backbone, out)
    with read_embeddings(out) as found:
        numbers = found["one"].residues
    flip_bit(out, numbers)
    backbone.fails = SEQUENCES["one"]
    summary = embedded(backbone, out, RECORDS[:3])
    assert (list(summary.failed), summary.renewed, summary.lost) == (["one"], [], ["copy"])
    check(out, backbone, {id: SEQUENCES[id] for id in ("long", "tiny", "unusual", "two")})


def test_stopped_run_outlasts_another_input(backbone, out, monkeypatch):
    """What it had waits in its place, whatever the format, and is not run again."""
    interrupt(backbone, out, monkeypatch, after=4)
    other = [Record("x", "x", ("MKTAYIWWWKK",), (), "x.fasta, record x")]
    summary = embedded(backbone, out, other)
    assert (summary.embedded, summary.kept) == (["x"], 4)
    check(out, backbone, {"x": "MKTAYIWWWKK"})
    summary = embedded(backbone, out)
    assert (summary.unique, summary.kept) == (1, 0)
    check(out, backbone, SEQUENCES | {"x": "MKTAYIWWWKK"})
    assert [entry.name for entry in out.parent.iterdir()] == [out.name]


def test_two_records_of_one_id(backbone, out):
    with pytest.raises(InputError, match="two records have the id 'one'"):
        embedded(backbone, out, [RECORDS[2], RECORDS[2]])
    assert not list(out.parent.iterdir())


def test_record_that_fails_is_named_and_tried_again(backbone, out):
    backbone.fails = SEQUENCES["one"]
    summary = embedded(backbone, out)
    assert summary.failed == {"one": "RuntimeError: no luck", "copy": "RuntimeError: no luck"}
    assert summary.embedded == ["long", "tiny", "unusual", "two"]
    check(out, backbone, {id: SEQUENCES[id] for id in summary.embedded})
    assert "Traceback" in log_file(out).read_text()
    backbone.fails = ""
    assert embedded(backbone, out).embedded == ["one", "copy"]
    check(out, backbone)
    assert not log_file(out).parent.exists()


def test_file_is_not_made_where_every_record_fails(backbone, out):
    backbone.fails = SEQUENCES["one"]
    summary = embedded(backbone, out, RECORDS[2:4])
    assert list(summary.failed) == ["one", "copy"] and not summary.embedded
    assert not out.exists()
    embedded(backbone, out, RECORDS[:2])
    assert list(embedded(backbone, out, RECORDS[2:4], overwrite=True).failed) == ["one", "copy"]
    check(out, backbone, {id: SEQUENCES[id] for id in ("long", "tiny")})


def test_full_disk_ends_the_run_and_breaks_nothing(backbone, out, monkeypatch):
    embedded(backbone, out, RECORDS[:2])

    def full(*arguments):
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(database.Database, "add", full)
        with pytest.raises(OSError, match="no space"):
            embedded(backbone, out)
    check(out, backbone, {id: SEQUENCES[id] for id in ("long", "tiny")})
    embedded(backbone, out)
    check(out, backbone)


def test_truncated_records_are_named(backbone, out):
    summary = embedded(backbone, out, long="truncate", max_length=12)
    assert summary.truncated == {"long": 12, "one": 12, "copy": 12}
    check(out, backbone, {id: sequence[:12] for id, sequence in SEQUENCES.items()})


def test_long_record_is_refused_before_anything_is_run(backbone, out):
    with pytest.raises(InputError, match=r"in\.fasta, record long: 31 residues are more than the 20"):
        embedded(backbone, out, max_length=20)
    assert not backbone.runs and not list(out.parent.iterdir())


def test_what_the_file_says_of_the_model(backbone, out):
    embedded(backbone, out, layers="0=0.5,last=0.5")
    with read_embeddings(out) as found:
        settings = found.settings
    assert settings["fingerprint"] == backbone.checkpoint.fingerprint()
    assert (settings["precision"], settings["layers"], settings["pool"]) == ("fp32", "0=0.5,3=0.5", ["mean"])
    about = settings["about"]
    assert (about["attention"], about["placement"], about["device"]) == ("sdpa", "resident", "cpu")
    assert settings["model"] == "esm2" and about["asked"] == {"precision": None, "layers": "0=0.5,last=0.5"}
    assert str(backbone.checkpoint.path.parent) not in str(settings)  # a path of one machine


def test_folder_that_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(embed_run.os, "access", lambda path, mode: False)  # whoever runs the tests may be allowed all
    with pytest.raises(InputError, match="no permission to write there"):
        embedded(None, tmp_path / "out.h5", load=no_model)


@pytest.mark.parametrize("name", ["", "folder.h5", "file/out.h5"], ids=["none", "folder", "in-a-file"])
def test_places_that_are_none(tmp_path, name):
    (tmp_path / "folder.h5").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(InputError):
        embedded(None, tmp_path / name, load=no_model)
