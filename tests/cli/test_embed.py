"""``lowmem-fold embed`` from the command line to the exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lowmem_fold.backbones import batches
from lowmem_fold.backbones.backbone import Backbone
from lowmem_fold.backbones.blueprint import Blueprint
from lowmem_fold.backbones.embed import embed
from lowmem_fold.backbones.loading import load_backbone
from lowmem_fold.backbones.stores import read_embeddings, store
from lowmem_fold.cli.main import main
from tests.backbones.models import saved

FASTA = ">one first\nMKTAYIAK\n>two\nacdefuzbx\n>again\nMKTAYIAK\n"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return saved("esm2", tmp_path_factory.mktemp("models") / "esm2")


@pytest.fixture
def fasta(tmp_path):
    path = tmp_path / "in.fasta"
    path.write_text(FASTA)
    return path


def command(fasta, out, model, *options):
    return ["embed", "-i", str(fasta), "-o", str(out), "-m", str(model), "--device", "cpu", *options]


@pytest.mark.parametrize("ending", [".h5", ".sqlite", ".safetensors", ".pt"])
def test_run(model, fasta, tmp_path, capsys, ending):
    out = tmp_path / f"out{ending}"
    assert main(command(fasta, out, model, "--pool", "cls,mean", "--residues", "--layers", "0,last")) == 0
    printed, errors = capsys.readouterr()
    assert printed == f"3 records: 3 embedded (2 different sequences). They are in {out}\n"
    assert "ESM-2, fp32, sdpa, resident, cpu" in errors
    sequences = ["MKTAYIAK", "ACDEFUZBX", "MKTAYIAK"]
    expected = embed(load_backbone(model, device="cpu"), sequences, [0, -1], "cls,mean", residues=True)
    with read_embeddings(out) as found:
        assert list(found) == ["one", "two", "again"]
        for one, other in zip(found.values(), expected, strict=True):
            np.testing.assert_allclose(one.residues, other.residues, rtol=0, atol=1e-5)
            np.testing.assert_allclose(one.pooled, other.pooled, rtol=0, atol=1e-5)


def test_again(model, fasta, tmp_path, capsys):
    out = tmp_path / "out.h5"
    main(command(fasta, out, model))
    capsys.readouterr()
    assert main(command(fasta, out, model)) == 0
    assert capsys.readouterr() == (f"3 records: 3 there before. They are in {out}\n", "")
    assert main(command(fasta, out, model, "--layers=-2")) == 2
    assert "--layers: 3 there, 2 now" in capsys.readouterr().err


def test_damage_is_told(model, fasta, tmp_path, capsys):
    """Once: what is made anew, and what is left out as it is of another input."""
    out = tmp_path / "out.h5"
    main(command(fasta, out, model))
    with read_embeddings(out) as found:
        numbers = {id: found[id].residues.tobytes() for id in found}
    data = bytearray(out.read_bytes())
    for id in ("one", "two"):
        data[data.find(numbers[id]) + 2] ^= 1
    out.write_bytes(data)
    fasta.write_text(">two\nacdefuzbx\n")
    capsys.readouterr()
    assert main(command(fasta, out, model)) == 0
    printed, errors = capsys.readouterr()
    assert "1 record: 1 embedded." in printed
    assert "warning: damaged before, and made anew: two\n" in errors
    assert f"warning: damaged in {out}, and left out, as they are not of this input" in errors
    assert "again): one, again\n" in errors
    assert main(command(fasta, out, model)) == 0
    assert capsys.readouterr() == (f"1 record: 1 there before. They are in {out}\n", "")


def test_kept_results_of_another_input_are_told(model, fasta, tmp_path, capsys, monkeypatch):
    run, calls = Backbone.hidden_states, []

    def interrupted(self, *arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        run(self, *arguments)

    out = tmp_path / "out.pt"
    with monkeypatch.context() as patch:
        patch.setattr(Backbone, "hidden_states", interrupted)
        assert main(command(fasta, out, model, "--max-tokens-per-batch", "1")) == 130
    assert main(["embed", "-s", "MKT", "-o", str(out), "-m", str(model), "--device", "cpu"]) == 0
    assert "1 finished embeddings of other records, of an interrupted run, are kept" in capsys.readouterr().err


def test_sequence_instead_of_a_file(model, tmp_path):
    out = tmp_path / "out.pt"
    assert main(["embed", "-s", "MKT AYI", "-o", str(out), "-m", str(model), "--pool", "max"]) == 0
    with read_embeddings(out) as found:
        assert found["sequence"].pooled.shape == (32,)


def test_letters_of_nucleotides_are_embedded_where_they_are_allowed(model, tmp_path, capsys):
    path, out = tmp_path / "gene.fasta", tmp_path / "out.h5"
    path.write_text(">gene\nATGAAAGCTTTACGTGGCCATTAA\n")
    assert main(command(path, out, model)) == 2
    assert "looks like DNA or RNA" in capsys.readouterr().err
    assert main(command(path, out, model, "--allow-nucleotide-letters")) == 0


def test_no_escape_code_of_a_header_reaches_the_terminal(model, tmp_path, capsys):
    path, out = tmp_path / "c1.fasta", tmp_path / "out.h5"
    path.write_text(">a\x9b31m\nMKTAYIAKQRMKTAYIAKQR\n", encoding="utf-8")
    assert main(command(path, out, model, "--max-length", "5", "--long", "truncate")) == 0
    printed, told = capsys.readouterr()
    assert "truncated, as --long says: a\\x9b31m (to 5)" in told and "\x9b" not in printed + told


def test_failure_and_truncation_are_told(model, fasta, tmp_path, capsys, monkeypatch):
    run = Backbone.hidden_states

    def failing(self, tokens, *rest):
        if len(tokens[0]) == 8:  # of the sequence of two records, truncated
            raise RuntimeError("no luck")
        run(self, tokens, *rest)

    monkeypatch.setattr(Backbone, "hidden_states", failing)
    fasta.write_text(f">short\nMK\n{FASTA}")
    out = tmp_path / "out.h5"
    options = ["--long", "truncate", "--max-length", "6", "--max-tokens-per-batch", "1"]
    assert main(command(fasta, out, model, *options)) == 1
    printed, errors = capsys.readouterr()
    assert "4 records: 1 embedded, 3 failed" in printed
    assert "warning: truncated, as --long says: one (to 6), two (to 6), again (to 6)" in errors
    assert "FAILED: two: RuntimeError: no luck" in errors and "Traceback" not in errors
    assert "lowmem_fold.log" in errors
    with read_embeddings(out) as found:
        assert list(found) == ["short"]


@pytest.mark.parametrize("ending", [".h5", ".sqlite", ".safetensors", ".pt"])
def test_no_file_is_told_of_where_every_record_fails(model, fasta, tmp_path, capsys, monkeypatch, ending):
    def failing(self, *arguments):
        raise RuntimeError("no luck")

    out = tmp_path / f"out{ending}"
    monkeypatch.setattr(batches, "release_memory", lambda: None)  # takes a while among the tests' objects
    with monkeypatch.context() as patch:
        patch.setattr(Backbone, "hidden_states", failing)
        assert main(command(fasta, out, model)) == 1
        assert capsys.readouterr().out == f"3 records: 3 failed. {out} is not written\n"
        assert not out.exists()
    assert main(["embed", "-s", "MKT", "-o", str(out), "-m", str(model), "--device", "cpu"]) == 0
    monkeypatch.setattr(Backbone, "hidden_states", failing)
    capsys.readouterr()
    assert main(command(fasta, out, model, "--overwrite")) == 1
    assert capsys.readouterr().out == f"3 records: 3 failed. {out} is as it was\n"
    with read_embeddings(out) as found:
        assert list(found) == ["sequence"]


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_interruption(model, fasta, tmp_path, capsys, monkeypatch, name, code):
    run = Backbone.hidden_states
    calls = []

    def interrupted(self, *arguments):
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), getattr(signal, name))
        run(self, *arguments)

    monkeypatch.setattr(Backbone, "hidden_states", interrupted)
    out = tmp_path / "out.h5"
    assert main(command(fasta, out, model, "--max-tokens-per-batch", "1")) == code
    assert f"stopped by {name}; run the same command again to resume" in capsys.readouterr().err
    assert not out.exists()
    assert main(command(fasta, out, model, "--max-tokens-per-batch", "1")) == 0
    assert len(calls) == 3


def test_full_disk(model, fasta, tmp_path, capsys, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "replace_file", full)
    assert main(command(fasta, tmp_path / "out.h5", model)) == 1
    assert "No space left on device. What is finished is intact" in capsys.readouterr().err


def test_lost_weights_end_the_run(model, fasta, tmp_path, capsys, monkeypatch):
    """One batch is done; in the next a single record has no room, and no placement can be loaded."""
    run, load, calls = Backbone.hidden_states, Blueprint.load, []

    def short(self, *arguments):
        calls.append(1)
        if len(calls) == 2:
            monkeypatch.setattr(Blueprint, "load", no_room)
            raise MemoryError
        run(self, *arguments)

    def no_room(self, placement):
        raise MemoryError

    monkeypatch.setattr(Backbone, "hidden_states", short)
    out = tmp_path / "out.h5"
    assert main(command(fasta, out, model, "--max-tokens-per-batch", "1")) == 1
    printed, errors = capsys.readouterr()
    assert "are lost" in errors and "What is finished is intact" in errors and "AttributeError" not in errors
    assert not printed and len(calls) == 2
    monkeypatch.setattr(Blueprint, "load", load)
    assert main(command(fasta, out, model, "--max-tokens-per-batch", "1")) == 0
    assert len(calls) == 3


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["-o", "out.csv"], "out.csv: no file of embeddings has this ending; choose from: .h5"),
        (["--layers", "middle"], "unknown layer 'middle'"),
        (["--pool", "median"], "unknown pooling 'median'; choose from: mean, max, cls, std"),
        (["--long", "split"], "--long"),
        (["--max-length", "0"], "max_length must be a whole number, 1 or more"),
        (["--overlap", "3"], "an overlap is of windows"),
        (["--max-tokens-per-batch", "0"], "--max-tokens-per-batch must be 1 or more; it is 0"),
        (["--placement", "staged"], "--placement"),
        (["--sequence", "MKT"], "--sequence"),
    ],
    ids=lambda value: value[0] + value[1] if isinstance(value, list) else None,
)
def test_bad_option(fasta, tmp_path, capsys, monkeypatch, options, named):
    monkeypatch.setattr("lowmem_fold.backbones.loading.load_backbone", None)
    monkeypatch.chdir(tmp_path)
    try:
        code = main(["embed", "-i", str(fasta), "-o", "out.h5", *options])
    except SystemExit as end:
        code = end.code
    assert code == 2
    assert named in capsys.readouterr().err
    assert [entry.name for entry in tmp_path.iterdir()] == ["in.fasta"]


def test_bad_options_are_told_without_torch(tmp_path):
    code = (
        "import sys; from lowmem_fold.cli.main import main; "
        "code = main(['embed', '-i', 'none', '-o', 'out.h5', '--layers', 'middle']); "
        "sys.exit(9 if 'torch' in sys.modules else code)"
    )
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("content", "named"),
    [(">a\nMKT:GG\n", "record 1 (line 1): 2 chains"), (">a\nMK*T\n", "'*'"), (">a\n\n", "there is no sequence")],
    ids=["chains", "stop", "empty"],
)
def test_bad_input(fasta, tmp_path, capsys, model, content, named):
    fasta.write_text(content)
    assert main(command(fasta, tmp_path / "out.h5", model)) == 2
    assert named in capsys.readouterr().err
    assert [entry.name for entry in tmp_path.iterdir()] == ["in.fasta"]


def test_model_that_cannot_be_had(fasta, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(command(fasta, "out.h5", "./nowhere")) == 2
    assert "nowhere" in capsys.readouterr().err
    assert [entry.name for entry in tmp_path.iterdir()] == ["in.fasta"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
@pytest.mark.parametrize("ending", [".h5", ".sqlite"])
@pytest.mark.parametrize("name", ["", "embeddings.sqlite", "whole.sqlite", ".lowmem_fold.lock", "lowmem_fold.log"])
def test_links_are_not_written_through(tmp_path, capsys, ending, name):
    """Into the folder, or a file, of somebody else."""
    out, theirs = tmp_path / f"out{ending}", tmp_path / "theirs"
    partial = tmp_path / f".out{ending}.partial"
    if name:
        theirs.write_text("mine")
        partial.mkdir()
        (partial / name).symlink_to(theirs)
    else:
        theirs.mkdir()
        partial.symlink_to(theirs)
    (tmp_path / "in.fasta").write_text(">one\nMKTAYIAK\n")
    code = main(["embed", "-i", str(tmp_path / "in.fasta"), "-o", str(out), "-m", "demo", "--device", "cpu"])
    used = name in (
        "",
        ".lowmem_fold.lock",
        "lowmem_fold.log",
        {".h5": "embeddings.sqlite"}.get(ending, "whole.sqlite"),
    )
    assert code == (2 if used else 0)
    assert "is a link" in capsys.readouterr().err or not used
    assert theirs.read_text() == "mine" if name else not list(theirs.iterdir())
