"""``lowmem-fold fold`` from the command line to the exit code, with a model that returns helices."""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import shutil
import signal
import sys

import numpy as np
import pytest

from lowmem_fold.cli import fold
from lowmem_fold.cli.main import main

from ..fake_run import FakeFolder, helix, make_records

FASTA = ">one first\nMKTAYIAK\n>two\nacdx:GGUG\n"


@pytest.fixture
def model(monkeypatch):
    """The model that a run loads; nothing may be loaded before the input is checked."""
    folder = FakeFolder()
    monkeypatch.setattr("lowmem_fold.loading.load", lambda *arguments, **keywords: folder.load(*arguments, **keywords))
    return folder


@pytest.fixture
def no_model(monkeypatch):
    def load(*arguments, **keywords):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("lowmem_fold.loading.load", load)


@pytest.fixture
def fasta(tmp_path):
    path = tmp_path / "in.fasta"
    path.write_text(FASTA)
    return path


def test_run(model, fasta, tmp_path, capsys):
    out = tmp_path / "out"
    assert (
        main(["fold", "-i", str(fasta), "-o", str(out), "--num-recycles", "1", "--format", "both", "--save-pae"]) == 0
    )
    printed, errors = capsys.readouterr()
    lines = printed.splitlines()
    assert lines[0].startswith("one") and "8 residues" in lines[0] and "ipTM" not in lines[0]
    assert lines[1].startswith("two") and "8 residues" in lines[1] and "ipTM 0.500" in lines[1]
    assert lines[2] == f"2 records: 2 folded. Results are in {out}"
    assert "warning" in errors and "U at 3" in errors
    table = [json.loads(line) for line in (out / "scores.jsonl").read_text().splitlines()]
    assert [line["header"] for line in table] == ["one first", "two"]
    assert table[1]["warnings"] and not table[0]["warnings"]
    assert {path.name for path in out.glob("two.*")} == {"two.pdb", "two.cif", "two.pae.json", "two.scores.json"}
    assert model.keywords[0]["num_recycles"] == 1
    config = json.loads((out / "config.json").read_text())
    assert config["settings"]["num_recycles"] == 1


def test_again(model, fasta, tmp_path, capsys):
    command = ["fold", "-i", str(fasta), "-o", str(tmp_path / "out")]
    main(command)
    capsys.readouterr()
    assert main(command) == 0
    first, hint = capsys.readouterr().out.splitlines()
    assert first == f"2 records: 2 finished before. Results are in {tmp_path / 'out'}"
    assert hint.endswith(f" view {tmp_path / 'out'} --open")
    assert len(model.folded) == 2


def test_sequence_instead_of_a_file(model, tmp_path):
    assert main(["fold", "--sequence", "MKTA:GG", "-o", str(tmp_path)]) == 0
    assert (tmp_path / "sequence.pdb").exists()


@pytest.mark.parametrize("source", ["-i", "--sequence"])
def test_letters_of_nucleotides_are_folded_where_they_are_allowed(model, tmp_path, capsys, source):
    text, out = "ATGAAAGCTTTACGTGGCCATTAA", tmp_path / "out"
    fasta = tmp_path / "gene.fasta"
    fasta.write_text(f">sequence\n{text}\n")
    command = ["fold", source, str(fasta) if source == "-i" else text, "-o", str(out)]
    assert main(command) == 2 and not out.exists()
    assert "looks like DNA or RNA" in capsys.readouterr().err
    assert main([*command, "--allow-nucleotide-letters"]) == 0
    assert json.loads((out / "sequence.scores.json").read_text())["sequence"] == text


def test_a_typed_header_is_heeded(model, tmp_path, capsys):
    path = tmp_path / "boltz.fasta"
    path.write_text(">A|protein|./a.a3m\nMKTAYIAK\n>B|dna\nACGTACGTAC\n")
    assert main(["fold", "-i", str(path), "-o", str(tmp_path / "out"), "--allow-nucleotide-letters"]) == 2
    assert f"{path}, record 2 (line 3), 'B|dna': by its header this is of type 'dna'" in capsys.readouterr().err


def test_a_bare_number_of_bytes_is_refused(model, fasta, tmp_path, capsys):
    assert main(["fold", "-i", str(fasta), "-o", str(tmp_path / "out"), "--memory", "8"]) == 2
    assert "--memory '8' has no unit, and would be bytes: write 8GB" in capsys.readouterr().err


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_standard_input(model, tmp_path, monkeypatch, pack):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(pack(FASTA.encode()))))
    assert main(["fold", "-i", "-", "-o", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "two.pdb").exists()


def test_failure_and_doubt_are_told(monkeypatch, fasta, tmp_path, capsys):
    def before(record):
        if record.id == "one":
            raise RuntimeError("no luck")

    folder = FakeFolder(before=before, changes={"two": {"ptm": 0.999, "plddt": np.full(8, 10, np.float32)}})
    monkeypatch.setattr("lowmem_fold.loading.load", folder.load)
    assert main(["fold", "-i", str(fasta), "-o", str(tmp_path / "out")]) == 1
    printed, errors = capsys.readouterr()
    assert "FAILED: RuntimeError: no luck" in printed
    assert "SUSPECT: pTM 0.999" in printed
    assert "2 records: 1 folded, 1 of these suspect, 1 failed." in printed
    assert "FAILED" in errors and "one" in errors
    assert "SUSPECT" in errors and "two" in errors
    assert "Traceback" not in errors


def test_doubt_alone_is_no_failure(monkeypatch, fasta, tmp_path):
    folder = FakeFolder(changes={"two": {"ptm": 0.999, "plddt": np.full(8, 10, np.float32)}})
    monkeypatch.setattr("lowmem_fold.loading.load", folder.load)
    assert main(["fold", "-i", str(fasta), "-o", str(tmp_path / "out")]) == 0


def test_lower_precision_is_told(monkeypatch, fasta, tmp_path, capsys):
    folder = FakeFolder(capacity=105)
    monkeypatch.setattr("lowmem_fold.loading.load", folder.load)
    command = ["fold", "-i", str(fasta), "-o", str(tmp_path / "out"), "--allow-precision", "int8"]
    assert main(command) == 0
    printed, errors = capsys.readouterr()
    assert "in int8, a lower precision" in printed
    assert "LOWER PRECISION, as memory was short: two" in errors


BAD_INPUT = {
    "empty": (b"", "empty"),
    "no-records": (b"\n\n", "no records"),
    "empty-record": (b">a\n>b\nMKT\n", "record 1"),
    "empty-chain": (b">a\nMKT::GG\n", "chain B"),
    "stop": (b">a\nMKT\n>b\nMK*T\n", "record 2"),
    "gap": (b">a\nMK-T\n", "'-'"),
    "digit": (b">a\nMK1T\n", "position 3"),
    "same-id": (b">a\nMKT\n>b\nMKT\n>a\nMKT\n", "'a'"),
    "same-name": (b">a/b\nMKT\n>A_b\nMKT\n", "a/b"),
    "no-header": (b"MKT\n>a\nMKT\n", "line 1"),
    "binary": (bytes(range(256)), "binary"),
    "utf-16": (">a\nMKT\n".encode("utf-16"), "UTF-16"),
    "cut-gzip": (gzip.compress(FASTA.encode())[:-10], "gzip"),
}


@pytest.mark.parametrize(("content", "named"), BAD_INPUT.values(), ids=BAD_INPUT.keys())
def test_bad_input(no_model, tmp_path, capsys, content, named):
    path = tmp_path / "in.fasta"
    path.write_bytes(content)
    assert main(["fold", "-i", str(path), "-o", str(tmp_path / "out")]) == 2
    printed, errors = capsys.readouterr()
    assert printed == "" and "Traceback" not in errors
    assert errors.startswith("lowmem-fold: error: ") and "in.fasta" in errors and named in errors
    assert [entry.name for entry in tmp_path.iterdir()] == ["in.fasta"]


@pytest.mark.parametrize("kind", ["missing", "directory"])
def test_bad_path(no_model, tmp_path, capsys, kind):
    path = tmp_path if kind == "directory" else tmp_path / "none.fasta"
    assert main(["fold", "-i", str(path), "-o", str(tmp_path / "out")]) == 2
    assert str(path) in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--num-recycles", "-1"], "--num-recycles must be a whole number, 0 or more; it is -1"),
        (["--num-recycles", "many"], "--num-recycles: 'many' is not a whole number"),
        (["--chunk-size", "0"], "--chunk-size must be a whole number, 1 or more; it is 0"),
        (["--max-tokens-per-batch", "-5"], "--max-tokens-per-batch"),
        (["--recycle-tolerance", "nan"], "--recycle-tolerance"),
        (
            ["--device", "coda"],
            "unknown device 'coda'; choose from: auto, cpu, gpu (the same as cuda), cuda:N, mps. Did you mean cuda?",
        ),
        (["--memory", "8 bananas"], "--memory '8 bananas' is not a memory size"),
        (["--host-memory", "0"], "--host-memory"),
        (["--placement", "disk"], "--placement"),
        (["--placement", "stremed"], "Did you mean streamed?"),
        (["--allow-precision", "int8,int9"], "unknown precision 'int9'; choose from: fp32, "),
        (["--stem-cache", ""], "--stem-cache"),
        (["--format", "xyz"], "--format"),
        (["--sequence", "MKT"], "--sequence"),
        (["--recycles", "3"], "--recycles. Did you mean --num-recycles?"),
        (["--model", ""], "--model"),
    ],
    ids=lambda value: "=".join(value) if isinstance(value, list) else None,
)
def test_bad_option(no_model, fasta, tmp_path, capsys, options, named):
    try:
        code = main(["fold", "-i", str(fasta), "-o", str(tmp_path / "out"), *options])
    except SystemExit as end:
        code = end.code
    assert code == 2
    assert named in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_precisions_to_step_down_to(fasta):
    parser = argparse.ArgumentParser()
    fold.add_arguments(parser)
    given = ["--allow-precision", "int8, int4", "--allow-precision", "int4,pair=bf16"]
    arguments = parser.parse_args(["-i", str(fasta), "-o", "out", *given])
    assert arguments.allow_precision == ["int8", "int4", "int4,pair=bf16"]
    assert parser.parse_args(["-i", str(fasta), "-o", "out"]).allow_precision == []


@pytest.mark.parametrize(
    "given", [["-o", "out"], ["-i", "in.fasta"], ["--sequence", "", "-o", "out"], ["--sequence", "MKT", "-o", ""]]
)
def test_missing_option(no_model, capsys, given):
    try:
        code = main(["fold", *given])
    except SystemExit as end:
        code = end.code
    assert code == 2
    assert "error" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_interruption(monkeypatch, fasta, tmp_path, capsys, name, code):
    def before(record):
        if record.id == "two":
            os.kill(os.getpid(), getattr(signal, name))

    monkeypatch.setattr("lowmem_fold.loading.load", FakeFolder(before=before).load)
    out = tmp_path / "out"
    assert main(["fold", "-i", str(fasta), "-o", str(out)]) == code
    assert f"stopped by {name}; run the same command again to resume" in capsys.readouterr().err
    assert len((out / "scores.jsonl").read_text().splitlines()) == 1


# What became of the folder


def test_folder_that_is_removed_ends_the_run(monkeypatch, fasta, tmp_path, capsys):
    out = tmp_path / "out"

    def before(record):
        if record.id == "two":
            shutil.rmtree(out)

    monkeypatch.setattr("lowmem_fold.loading.load", FakeFolder(before=before).load)
    assert main(["fold", "-i", str(fasta), "-o", str(out)]) == 1
    printed, errors = capsys.readouterr()
    assert f"error: {out}: the folder was removed or moved while this run wrote into it" in errors
    assert "is intact" not in errors and "Results are in" not in printed
    assert not out.exists()


def test_link_and_long_name_are_wrong_input(no_model, fasta, tmp_path, capsys):
    out, mine = tmp_path / "out", tmp_path / "mine"
    mine.write_text("precious\n")
    out.mkdir()
    (out / ".lowmem_fold.lock").symlink_to(mine)
    (tmp_path / "nowhere").symlink_to(tmp_path / "missing")
    for place, said in [(out, "lowmem_fold.lock: is a link"), (tmp_path / ("x" * 300), "too long")]:
        assert main(["fold", "-i", str(fasta), "-o", str(place)]) == 2
        assert said in capsys.readouterr().err
    assert main(["fold", "-i", str(fasta), "-o", str(tmp_path / "nowhere")]) == 2
    assert f"{tmp_path / 'nowhere'}: is a link to" in capsys.readouterr().err
    assert mine.read_text() == "precious\n"


def test_damage_other_formats_and_other_records_are_told(model, fasta, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["fold", "-i", str(fasta), "-o", str(out)]
    main(command)
    (out / "one.pdb").write_bytes(b"")
    fasta.write_text(FASTA.replace(">two", ">three"))
    capsys.readouterr()
    assert main(command) == 0
    errors = capsys.readouterr().err
    assert "DAMAGED since they were written, and so folded again: one" in errors
    assert f"in {out}, but not in the input: two" in errors
    assert main([*command, "--format", "cif"]) == 0
    errors = capsys.readouterr().err
    assert "in a format not asked for now: one.pdb, three.pdb (--overwrite" in errors


def test_lost_config_is_adopted(model, fasta, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["fold", "-i", str(fasta), "-o", str(out)]
    main(command)
    (out / "config.json").unlink()
    assert main(command) == 2
    assert "Add --adopt, with the options of that run" in capsys.readouterr().err
    assert main([*command, "--adopt"]) == 0
    assert len(model.folded) == 2
    assert main(command) == 0


def test_structure_that_pdb_cannot_hold_is_told(monkeypatch, fasta, tmp_path, capsys):
    positions = helix(make_records(8)[0]).positions - np.float32(1200)
    monkeypatch.setattr("lowmem_fold.loading.load", FakeFolder(changes={"one": {"positions": positions}}).load)
    assert main(["fold", "-i", str(fasta), "-o", str(tmp_path / "out")]) == 0
    printed, errors = capsys.readouterr()
    assert "INCOMPLETE: mmCIF alone, no PDB: a coordinate of -1" in printed
    assert "INCOMPLETE, written as mmCIF alone, as PDB cannot hold them: one" in errors


# With the real loader


def test_device_that_is_not_there(fasta, tmp_path, capsys):
    assert main(["fold", "-i", str(fasta), "-o", str(tmp_path / "out"), "--device", "cuda:99"]) == 2
    errors = capsys.readouterr().err
    assert "cuda:99 is not available" in errors and "cpu" in errors
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "model", ["nobody/has-this", "./nowhere", ".", "x" * 300], ids=["hub-id", "no-folder", "no-model", "long"]
)
def test_model_that_cannot_be_had(fasta, tmp_path, capsys, monkeypatch, model):
    monkeypatch.chdir(tmp_path)
    assert main(["fold", "-i", str(fasta), "-o", "out", "--model", model]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("lowmem-fold: ") and "Traceback" not in errors
    assert model != "nobody/has-this" or "--model demo" in errors
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("model", "meant"), [("demmo", "demo"), ("esmfold_v1", "facebook/esmfold_v1")])
def test_mistyped_model_is_guessed_without_network(fasta, tmp_path, capsys, model, meant):
    assert main(["fold", str(fasta), "-o", str(tmp_path / "out"), "--model", model]) == 2
    assert f"unknown model '{model}'. Did you mean {meant}?" in capsys.readouterr().err


# What comes next


@pytest.mark.parametrize("before", [True, False], ids=["first", "last"])
def test_file_needs_no_option(model, fasta, tmp_path, before):
    options = ["-o", str(tmp_path / "out"), "--precision", "INT8", "--device", "GPU"]
    assert main(["fold", str(fasta), *options] if before else ["fold", *options, str(fasta)]) == 0
    assert (tmp_path / "out" / "two.pdb").exists()
    assert (model.keywords[0].get("device"), model.keywords[0].get("precision")) in [("cuda", "int8"), (None, None)]


def test_page_is_written_and_opened(model, fasta, tmp_path, capsys, monkeypatch):
    opened = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("webbrowser.open", lambda address, *_, **__: opened.append(address) or True)
    assert main(["fold", str(fasta), "-o", str(tmp_path / "out"), "--view"]) == 0
    page = tmp_path / "out" / "view.html"
    assert opened == [page.as_uri()] and page.exists()
    assert "--open" not in capsys.readouterr().out


def test_nothing_is_shown_where_nothing_was_folded(monkeypatch, fasta, tmp_path, capsys):
    def before(record):
        raise RuntimeError("no luck")

    monkeypatch.setattr("lowmem_fold.loading.load", FakeFolder(before=before).load)
    assert main(["fold", str(fasta), "-o", str(tmp_path / "out"), "--view"]) == 1
    assert "--open" not in capsys.readouterr().out and not (tmp_path / "out" / "view.html").exists()
