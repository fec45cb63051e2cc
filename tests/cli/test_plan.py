from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import lowmem_fold as lf
from lowmem_fold.cli import plan as cli_plan
from lowmem_fold.cli.main import main
from lowmem_fold.planning import cards
from lowmem_fold.planning.cards import Longest
from lowmem_fold.planning.plan import Plan, Planner


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOWMEM_FOLD_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


DEMO = ["--model", "demo", "--device", "cpu", "--memory", "1GB"]


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "-L", "60", *DEMO]) == 0
    out = capsys.readouterr().out
    assert "60 residues, demo on cpu, 3 recycles, 0.93 GiB" in out
    (chosen,) = [line for line in out.splitlines() if line.startswith(" > ")]
    assert chosen.split()[1:3] == ["fp32", "resident"]
    peak = lf.plan(60, "1GB", model="demo", device="cpu").plans[0].peak_bytes
    assert f"{peak / 2**20:.1f} MiB" in chosen
    assert "-> resident is the fastest placement that fits" in out
    assert "lowmem-fold quantize" in out and "not here *" in out


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "-L", "60", "--json", *DEMO]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(
        json.dumps(lf.plan(60, "1GB", model="demo", device="cpu").to_dict())
    )


def test_what_fits_nowhere_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "-L", "600", "--model", "demo", "--device", "cpu", "--memory", "381MB"]) == 1
    out = capsys.readouterr().out
    assert "no plan: fp32 does not fit" in out and "residues would fit in fp32" in out


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    path = tmp_path / "in.fasta"
    path.write_text(">short\nMKTAYIAK\n>complex\nMKTAYIAK:GSHMLE\n>long\n" + "A" * 90 + "\n>same\n" + "G" * 90 + "\n")
    return path


def test_each_record_and_the_batch(capsys: pytest.CaptureFixture[str], fasta: Path) -> None:
    assert main(["plan", "-i", str(fasta), "--json", *DEMO]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(r["id"], r["length"]) for r in found["records"]] == [
        ("short", 8),
        ("complex", 8 + 25 + 6),
        ("long", 90),
        ("same", 90),
    ]
    longest = lf.plan(90, "1GB", model="demo", device="cpu").chosen
    assert longest is not None
    assert found["batch"]["peak_bytes"] == longest.peak_bytes
    assert (found["batch"]["records"], found["batch"]["fitting"]) == (4, 4)
    assert main(["plan", "-i", str(fasta), *DEMO]) == 0
    out = capsys.readouterr().out
    assert out.count("resident") == 5 and "4 of 4 records fit, together resident" in out


def test_seconds_of_a_batch_count_shared_weights_once(monkeypatch: pytest.MonkeyPatch, capsys, fasta: Path) -> None:
    plain = Planner._weigh

    def timed(self: Planner, length: int, *rest) -> Plan:
        from dataclasses import replace

        return replace(plain(self, length, *rest), seconds=10.0 + length, shared_seconds=4.0)

    monkeypatch.setattr(Planner, "_weigh", timed)
    main(["plan", "-i", str(fasta), "--json", *DEMO])
    assert json.loads(capsys.readouterr().out)["batch"]["seconds"] == 4 + 4 * 6 + 8 + 39 + 90 + 90


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["-L", "0"], "length must be a whole number"),
        (["-L", "10", "--memory", "8G"], "8GiB"),
        (["-L", "10", "--memory", "8"], "write 8GB"),
        (["-L", "10", "--memory", "9" * 5000], "not a memory size"),
        (["-L", "10", "--precision", "int3"], "int3"),
        (["-L", "10", "--model", "someone/else"], "hf download"),
        (["-i", "absent.fasta"], "absent.fasta"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_mistakes(capsys: pytest.CaptureFixture[str], arguments: list[str], text: str) -> None:
    assert main(["plan", *arguments]) == 2
    assert text in capsys.readouterr().err


def test_letters_of_nucleotides_are_taken_where_they_are_allowed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gene.fasta").write_text(">gene\nATGAAAGCTTTACGTGGCCATTAA\n")
    command = ["plan", "-i", str(tmp_path / "gene.fasta"), "--model", "someone/else"]
    assert main(command) == 2
    assert "looks like DNA or RNA" in capsys.readouterr().err
    assert main([*command, "--allow-nucleotide-letters"]) == 2
    assert "hf download" in capsys.readouterr().err  # the records were read


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (8.14, "8.1 s"), (99.0, "99.0 s"), (720, "12 min"), (12240, "3.4 h")],
    ids=str,
)
def test_duration(seconds: float | None, text: str) -> None:
    assert cli_plan.duration(seconds) == text


def test_an_answer_from_the_cache_needs_no_torch() -> None:
    main(["plan", "-L", "61", *DEMO])
    code = (
        "import sys; from lowmem_fold.cli.main import main; code = main(sys.argv[1:]);"
        " assert not {'torch', 'transformers'} & set(sys.modules); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "plan", "-L", "61", *DEMO], capture_output=True, env={**os.environ}
    )
    assert done.returncode == 0, done.stderr.decode()


def test_cards(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        Longest("lowmem_fold", "fp16", "streamed", {8: 2600, 12: 0}),
        Longest("transformers", "fp16", "unchunked", {8: 0, 12: 390}),
    ]
    monkeypatch.setattr(cards, "longest_proteins", lambda *_, **__: rows)
    assert main(["plan", "--cards"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0][-4:] == ["8", "GB", "12", "GB"]
    assert lines[1] == ["fp16,", "streamed", "2600", "-"]
    assert lines[2] == ["fp16,", "unchunked", "(stock)", "-", "390"]
