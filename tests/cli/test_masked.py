"""``lowmem-fold fill``, ``score`` and ``generate`` from the command line to the files, with a small ESM-2."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
import torch

from lowmem_fold.backbones import batches
from lowmem_fold.backbones.backbone import Backbone
from lowmem_fold.backbones.fill import fill
from lowmem_fold.backbones.loading import load_backbone
from lowmem_fold.backbones.score import score, score_mutations
from lowmem_fold.cli.main import main
from lowmem_fold.system.lock import FolderLock
from tests.backbones.models import saved

FASTA = ">one first\nMKTAY\n>two\nGGUXV\n>three\nMKTAY\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return saved("esm2", tmp_path_factory.mktemp("masked") / "esm2")


@pytest.fixture(scope="module")
def backbone(folder):
    return load_backbone(folder, device="cpu")


@pytest.fixture
def no_model(monkeypatch):
    def load(*arguments, **keywords):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("lowmem_fold.backbones.loading.load_backbone", load)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Collecting garbage takes a while among the tests' objects."""
    monkeypatch.setattr(batches, "release_memory", lambda: None)


@pytest.fixture
def fasta(tmp_path):
    path = tmp_path / "in.fasta"
    path.write_text(FASTA)
    return path


def call(folder, verb: str, *arguments: object) -> int:
    return main([verb, *map(str, arguments), "-m", str(folder), "--device", "cpu"])


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


# fill


def test_fill_shows_the_best(folder, backbone, capsys):
    assert call(folder, "fill", "-s", "MK*A<mask>", "-k", 2) == 0
    out, err = capsys.readouterr()
    (filled,) = fill(backbone, ["MK*A*"], 2)
    lines = out.splitlines()
    assert lines[0] == "sequence: MK*A*" and lines[-1] == f"best: {filled.best}"
    for line, filling in zip(lines[1:-1], filled.fillings, strict=True):
        pairs = zip(filling.residues, filling.probabilities, strict=True)
        assert line.split() == [str(filling.position), *(word for r, p in pairs for word in (r, f"{p:.3f}"))]
    assert re.search(r"esm2 \(ESM-2, fp32, sdpa, resident, cpu\)", err)


def test_fill_writes_a_table(folder, backbone, tmp_path):
    source, out = tmp_path / "in.fasta", tmp_path / "out.csv"
    source.write_text(">a\nMK*A\n>b\n*\nGG\n")
    assert call(folder, "fill", "-i", source, "-o", out, "-k", 3) == 0
    rows = table(out)
    assert [row["id"] for row in rows] == ["a"] * 3 + ["b"] * 3
    assert [(row["position"], row["rank"]) for row in rows[:3]] == [("3", "1"), ("3", "2"), ("3", "3")]
    assert {(row["model"], row["precision"], row["attention"]) for row in rows} == {("esm2", "fp32", "sdpa")}
    (filled,) = fill(backbone, ["*GG"], 3)
    assert "".join(row["residue"] for row in rows[3:]) == filled.fillings[0].residues
    assert float(rows[3]["probability"]) == pytest.approx(filled.fillings[0].probabilities[0], abs=2e-6)


# generate


def test_generate_writes_fasta_again_and_again(folder, tmp_path, capsys):
    command = ["generate", "--length", 100, "-n", 2, "--temperature", 0.7, "--seed", 4, "--steps", 5]
    assert call(folder, *command) == 0
    printed = capsys.readouterr().out
    assert call(folder, *command, "-o", tmp_path / "out.fasta") == 0
    assert (tmp_path / "out.fasta").read_text() == printed
    lines = printed.splitlines()
    assert [len(line) for line in lines if not line.startswith(">")] == [80, 20, 80, 20]
    assert lines[0].startswith(">generated_1 log_probability=-")
    assert "temperature=0.7 seed=4 steps=5 model=esm2 precision=fp32 attention=sdpa" in lines[0]


def test_generate_keeps_a_template(folder, capsys):
    assert call(folder, "generate", "--template", "MK**V") == 0
    assert re.fullmatch("MK[A-Z]{2}V", capsys.readouterr().out.splitlines()[1])


# score


def test_score_of_sequences(folder, backbone, fasta, tmp_path, capsys):
    out = tmp_path / "out.csv"
    assert call(folder, "score", "-i", fasta, "-o", out) == 0
    assert f"{out}: written (3 sequences)" in capsys.readouterr().out
    rows = table(out)
    assert [row["id"] for row in rows] == ["one", "two", "three"]
    assert rows[0] | {"id": ""} == rows[2] | {"id": ""}
    for row, expected in zip(rows, score(backbone, ["MKTAY", "GGUXV", "MKTAY"]), strict=True):
        assert (int(row["length"]), int(row["scored"])) == (expected.length, expected.scored)
        assert float(row["log_likelihood"]) == pytest.approx(expected.log_likelihood, abs=1e-5)
        assert float(row["pseudo_perplexity"]) == pytest.approx(expected.pseudo_perplexity, rel=1e-5)
    settings = json.loads((tmp_path / "out.csv.settings.json").read_text())
    assert settings["attention"] == "sdpa" and settings["precision"] == "fp32" and settings["family"] == "ESM-2"
    assert not list(tmp_path.glob(".*"))


def test_score_of_mutations(folder, backbone, tmp_path):
    out = tmp_path / "out.csv"
    assert call(folder, "score", "-s", "MKTAY", "--mutations", "M1A, K2R:Y5W", "-o", out) == 0
    found = score_mutations(backbone, "MKTAY", ["M1A", "K2R:Y5W"])
    assert [(row["id"], row["mutation"]) for row in table(out)] == [("sequence", "M1A"), ("sequence", "K2R:Y5W")]
    assert [float(row["score"]) for row in table(out)] == pytest.approx([each.score for each in found], abs=1e-5)


def test_score_of_a_file_of_mutations(folder, backbone, fasta, tmp_path, capsys):
    out, mutations = tmp_path / "out.csv", tmp_path / "in.csv"
    mutations.write_text("id,mutation\nthree,A4C\none,M1A\nthree,Y5W\n")
    assert call(folder, "score", "-i", fasta, "--mutations-file", mutations, "-o", out) == 0
    assert "1 sequence without mutations, left out" in capsys.readouterr().err
    assert [(row["id"], row["mutation"]) for row in table(out)] == [("one", "M1A"), ("three", "A4C"), ("three", "Y5W")]
    expected = [each.score for each in score_mutations(backbone, "MKTAY", ["M1A", "A4C", "Y5W"])]
    assert [float(row["score"]) for row in table(out)] == pytest.approx(expected, abs=1e-5)


def test_ids_are_first_words_as_they_are(folder, backbone, tmp_path):
    source, mutations, out = tmp_path / "in.fasta", tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text(">sp|P12345|AAA_HUMAN of man\nMKTAY\n>7abc_A\nGGUXV\n>7abc_a\nMK\n")
    mutations.write_text("id,mutation\nsp|P12345|AAA_HUMAN,A4C\n7abc_a,M1A\n")
    assert call(folder, "score", "-i", source, "--mutations-file", mutations, "-o", out) == 0
    assert [row["id"] for row in table(out)] == ["sp|P12345|AAA_HUMAN", "7abc_a"]


def test_score_of_all_mutations_of_several(folder, fasta, tmp_path):
    out = tmp_path / "out.csv"
    assert call(folder, "score", "-i", fasta, "--mutations", "all", "-o", out) == 0
    assert len(table(out)) == (5 + 3 + 5) * 19


def test_again(folder, fasta, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out.csv"
    call(folder, "score", "-i", fasta, "-o", out)
    written = out.read_bytes()
    capsys.readouterr()
    monkeypatch.setattr("lowmem_fold.backbones.backbone.Backbone.logits", None)  # nothing is asked
    assert call(folder, "score", "-i", fasta, "-o", out) == 0
    assert capsys.readouterr().out == f"{out} was finished before\n"
    assert call(folder, "score", "-i", fasta, "-o", out, "--precision", "bf16") == 2
    assert "with other settings: precision fp32 there, bf16 now" in capsys.readouterr().err
    assert out.read_bytes() == written


def test_what_was_found_before_an_interruption_is_not_asked_again(folder, fasta, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out.csv"
    call(folder, "score", "-i", fasta, "-o", tmp_path / "whole.csv")
    stopped, asked = interrupted_after(monkeypatch, 3)
    with stopped:
        assert call(folder, "score", "-i", fasta, "-o", out) == 130
    answers = tmp_path / ".out.csv.partial" / "answers"
    assert not out.exists() and len(answers.read_text().splitlines()) == 1 + 3
    with answers.open("a") as file:
        file.write('{"query": "torn')
    assert call(folder, "score", "-i", fasta, "-o", out, "--precision", "bf16") == 2
    assert "was begun with other settings: precision fp32 there, bf16 now" in capsys.readouterr().err
    asked.clear()
    assert call(folder, "score", "-i", fasta, "-o", out) == 0
    assert "3 of 8 runs of the model before" in capsys.readouterr().out
    assert sum(asked) == 8 - 3
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not list(tmp_path.glob(".*"))


def test_a_run_of_another_input_leaves_what_was_found(folder, fasta, tmp_path, capsys, monkeypatch):
    out, other = tmp_path / "out.csv", tmp_path / "other.fasta"
    other.write_text(">four\nWW\n")
    call(folder, "score", "-i", fasta, "-o", tmp_path / "whole.csv")
    stopped, asked = interrupted_after(monkeypatch, 3)
    with stopped:
        assert call(folder, "score", "-i", fasta, "-o", out) == 130
    capsys.readouterr()
    assert call(folder, "score", "-i", other, "-o", out) == 0
    printed, errors = capsys.readouterr()
    assert printed == f"{out}: written (1 sequence)\n"
    assert "3 answers of an interrupted run with another input are kept" in errors
    assert call(folder, "score", "-i", fasta, "-o", out) == 2
    assert "input" in capsys.readouterr().err
    asked.clear()
    assert call(folder, "score", "-i", fasta, "-o", out, "--overwrite") == 0
    assert "3 of 8 runs of the model before" in capsys.readouterr().out
    assert sum(asked) == 8 - 3
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not list(tmp_path.glob(".*"))


def test_two_runs_of_one_table_are_refused(folder, fasta, tmp_path, capsys):
    partial = tmp_path / ".out.csv.partial"
    partial.mkdir()
    with FolderLock(partial):
        assert call(folder, "score", "-i", fasta, "-o", tmp_path / "out.csv") == 2
    assert "another run" in capsys.readouterr().err and not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("failure", ["memory", "numbers"])
def test_one_sequence_that_fails_is_named_and_the_others_scored(folder, tmp_path, capsys, monkeypatch, failure):
    out, source = tmp_path / "out.csv", tmp_path / "in.fasta"
    source.write_text(">one\nMKTAY\n>long\nMKTAYIAKQR\n>two\nGGUXV\n")
    logits = Backbone.logits
    asked: list[int] = []

    def failing(self, tokens):
        asked.append(len(tokens[0]))
        if max(map(len, tokens)) < 12:
            return logits(self, tokens)
        if failure == "memory":
            raise torch.OutOfMemoryError("no room")
        return logits(self, tokens) * float("nan")

    with monkeypatch.context() as patch:
        patch.setattr(Backbone, "logits", failing)
        assert call(folder, "score", "-i", source, "-o", out) == 1
    printed, errors = capsys.readouterr()
    assert printed == f"{out}: written (2 sequences)\n"
    reasons = {"memory": "out of memory: OutOfMemoryError: no room", "numbers": "gives numbers that are not finite"}
    assert "FAILED: long: " in errors and reasons[failure] in errors and "Traceback" not in errors
    assert "Traceback" in (tmp_path / ".out.csv.partial" / "lowmem_fold.log").read_text()
    assert asked.count(12) < 10, "of what failed no more is asked"
    assert [row["id"] for row in table(out)] == ["one", "two"]
    assert call(folder, "score", "-i", source, "-o", out) == 0
    assert "(3 sequences, 8 of 18 runs of the model before)" in capsys.readouterr().out
    assert [row["id"] for row in table(out)] == ["one", "long", "two"]
    assert not list(tmp_path.glob(".*"))


def test_nothing_is_written_where_all_fail(folder, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out.csv"
    monkeypatch.setattr(Backbone, "logits", no_room)
    assert call(folder, "score", "-s", "MKT", "-o", out) == 1
    printed, errors = capsys.readouterr()
    assert printed == f"{out}: not written, as no sequence could be scored\n" and "FAILED: sequence" in errors
    assert not out.exists()


def no_room(*arguments, **keywords):
    raise torch.OutOfMemoryError("no room")


@pytest.mark.parametrize("verb", [["fill", "-s", "M*"], ["generate", "--length", "3"]], ids=lambda v: v[0])
def test_a_sequence_without_room_is_told(folder, capsys, monkeypatch, verb):
    monkeypatch.setattr(Backbone, "logits", no_room)
    assert call(folder, *verb) == 2
    errors = capsys.readouterr().err
    assert (
        "tokens does not fit in memory by itself, with streamed weights on cpu" in errors and "Traceback" not in errors
    )


@pytest.mark.parametrize(
    "verb", [["fill", "-s", "M*"], ["embed", "-s", "MK", "-o", "out.pt"]], ids=lambda verb: verb[0]
)
def test_weights_without_room_are_told(tmp_path, monkeypatch, capsys, verb):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lowmem_fold.backbones.loading.load_backbone", no_room)
    assert call("model", *verb, "--placement", "resident") == 2
    assert "the weights of model do not fit in the memory of the device" in capsys.readouterr().err


def interrupted_after(monkeypatch, number: int):
    """A context in which Ctrl-C comes after so many runs, one at a time; sizes of the batches that are asked for."""
    from lowmem_fold.backbones import masked

    asked: list[int] = []
    logits, run_batches = Backbone.logits, masked.run_batches
    context = monkeypatch.context()

    def counted(self, tokens):
        asked.append(len(tokens))
        return logits(self, tokens)

    def until_then(self, tokens):
        if len(asked) == number:
            raise KeyboardInterrupt
        return counted(self, tokens)

    class Stopped:
        def __enter__(self):
            patch = context.__enter__()
            patch.setattr(Backbone, "logits", until_then)
            patch.setattr(masked, "run_batches", lambda *a, **k: run_batches(*a, **k, max_tokens=1))

        def __exit__(self, *error):
            context.__exit__(*error)
            monkeypatch.setattr(Backbone, "logits", counted)

    return Stopped(), asked


def test_a_full_disk_loses_nothing(folder, fasta, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out.csv"

    def full(path, text):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("lowmem_fold.backbones.score_table.write_text_atomic", full)
        assert call(folder, "score", "-i", fasta, "-o", out) == 1
    assert "No space left on device" in capsys.readouterr().err and not out.exists()
    assert call(folder, "score", "-i", fasta, "-o", out) == 0
    assert "8 of 8 runs of the model before" in capsys.readouterr().out
    monkeypatch.setattr("lowmem_fold.system.files.write_text_atomic", full)
    assert call(folder, "generate", "--length", 3, "-o", tmp_path / "new.fasta") == 2
    assert "could not be written, and is unchanged" in capsys.readouterr().err


# What is refused, before a model is loaded


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fill", "-s", "MK1*"], "position 3: '1' is not an amino acid"),
        (["fill", "-s", "MKT"], "no residue is masked"),
        (["fill", "-s", "MK*:AA"], "2 chains, and a language model reads one at a time"),
        (["fill", "-s", "MK*", "-o", "."], "'.' is not the name of a file to write"),
        (["fill", "-s", "MK*", "-o", "none/out.csv"], "none/out.csv cannot be written"),
        (["generate", "--length", "0"], "--length: a sequence has 1 residue at least"),
        (["generate", "--template", "MKT"], "the template has no masked residue"),
        (["generate", "--template", "MK1*"], "the template: position 3: '1' is not an amino acid"),
        (["generate", "--length", "5", "-n", "0"], "the number of sequences is 1 or more"),
        (["generate", "--length", "5", "--steps", "6"], "steps are 1 to 5"),
        (["score", "-s", "MKTA", "-o", ""], "is not the name of a file to write"),
        (["score", "-s", "MKTA", "-o", "out.csv", "--mutations", "A1V"], "position 1 is M, not A"),
        (["score", "-s", "MKTA", "-o", "out.csv", "--mutations", ""], "'' is not a mutation"),
        (["score", "-s", "MKTA", "-o", "out.csv", "--mutations-file", "none.csv"], "none.csv: cannot be read"),
        (["score", "-s", "XX", "-o", "out.csv"], "no residue is one of the 20 amino acids"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_refused(no_model, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_mutations_of_several_sequences_are_listed_in_a_file(no_model, fasta, tmp_path, capsys):
    assert main(["score", "-i", str(fasta), "-o", str(tmp_path / "out.csv"), "--mutations", "M1A"]) == 2
    assert "there are 3 sequences; list the mutations of each in a file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "verb", [["fill", "-s", "M*"], ["generate", "--length", "3"], ["score", "-s", "MK"]], ids=lambda v: v[0]
)
def test_what_is_there_is_not_overwritten_unasked(folder, tmp_path, capsys, verb):
    out = tmp_path / "out"
    out.write_text("mine")
    assert call(folder, *verb, "-o", out) == 2
    assert "exists already" in capsys.readouterr().err and out.read_text() == "mine"
    assert call(folder, *verb, "-o", out, "--overwrite") == 0
    assert out.read_text() != "mine"


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        ("fill", ["-s", "ACGTACGTACGTACG*"]),
        ("score", ["-s", "ACGTACGTACGTACG", "-o", "out.csv"]),
        ("score", ["-s", "ACGTACGTACGTACG", "-o", "out.csv", "--mutations", "A1C"]),
        ("generate", ["--template", "ACGTACGTACGTACG*"]),
    ],
    ids=["fill", "score", "mutations", "generate"],
)
def test_letters_of_nucleotides_where_they_are_allowed(folder, tmp_path, monkeypatch, capsys, verb, arguments):
    monkeypatch.chdir(tmp_path)
    assert call(folder, verb, *arguments) == 2
    assert "looks like DNA or RNA" in capsys.readouterr().err
    assert call(folder, verb, *arguments, "--allow-nucleotide-letters") == 0
