from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import lowmem_fold as lf
from lowmem_fold.cli import plan_text
from lowmem_fold.cli.main import main
from lowmem_fold.planning import cards
from lowmem_fold.planning.calibration import Calibration
from lowmem_fold.planning.cards import Longest
from lowmem_fold.planning.plan import Plan, Planner, Plans


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOWMEM_FOLD_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


DEMO = ["--model", "demo", "--device", "cpu", "--memory", "1GB", "--no-calibrate"]


def test_recommendation_comes_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "-L", "60", *DEMO]) == 0
    lines = capsys.readouterr().out.splitlines()
    chosen = lf.plan(60, "1GB", model="demo", device="cpu").chosen
    assert chosen is not None
    needed = f"{chosen.needed_bytes / 2**30:.2f} GiB"
    assert lines[0] == (
        f"Recommended for 60 residues with demo on cpu: fp32, weights resident. It needs {needed} of 1GB (0.93 GiB)."
    )
    rows = lines[3 : lines.index("", 3)]
    assert len(rows) == 5 and rows[0].split()[:3] == [">", "fp32", "resident"] and needed in rows[0]
    assert [row.split()[0] for row in rows[1:]] == ["fp32", "fp32", "fp16", "int8"]
    assert "time" not in lines[2]  # nothing promises what was not measured
    assert "19 more rows with --all" in lines
    assert lines[-1] == (
        "To fold with this plan: lowmem-fold fold proteins.fasta -o out/ --model demo --memory 1GB --device cpu"
    )


def test_all_rows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "-L", "60", "--all", *DEMO]) == 0
    out = capsys.readouterr().out
    plans = lf.plan(60, "1GB", model="demo", device="cpu").plans
    assert all(any(f"{p.precision} " in line and p.placement in line for line in out.splitlines()) for p in plans)
    assert f"{plans[0].peak_bytes / 2**20:.1f} MiB" in out and "language model" in out
    assert "lowmem-fold quantize" in out and "not available *" in out and "--all" not in out


@pytest.mark.parametrize("known", [True, False], ids=["measured", "not-measured"])
def test_speed_is_measured_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], known: bool
) -> None:
    measured: list[str] = []

    def calibrate(device: str, family: object) -> Calibration:
        measured.append(device)
        samples = [{"seconds": [1.0, 2.0]}]
        return Calibration("cpu", {}, 1, 4 * 2**20, {}, {}, {}, samples)  # for no precision: nothing is predicted

    known_one = Calibration("cpu", {}, 1, 4 * 2**20, {}, {}, {}, [])
    monkeypatch.setattr("lowmem_fold.planning.plan.cached", lambda device, family: known_one if known else None)
    monkeypatch.setattr("lowmem_fold.planning.plan.calibrate", calibrate)
    options = ["plan", "-L", "60", "--model", "demo", "--device", "cpu"]
    assert main(options) == 0
    assert measured == ([] if known else ["cpu"])
    errors = capsys.readouterr().err
    assert ("measuring how fast cpu is: about 10 seconds" in errors) is not known
    assert ("the machine was busy meanwhile" in errors) is not known
    for option in ("--json", "--no-calibrate"):
        main([*options, option])
    assert len(measured) == (not known)
    main([*options, "--json", "--calibrate"])
    assert len(measured) == 1 + (not known)


def test_whoever_means_a_card_is_told_how(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lowmem_fold.system.devices._has_cuda", lambda: False)
    options = ["plan", "-L", "60", "--model", "demo", "--no-calibrate"]
    main([*options, "--memory", "8G"])
    assert "This plans for the CPU, as no GPU was found here. For a card of that size: add --device gpu" in (
        capsys.readouterr().out
    )
    for more in ([], ["--memory", "8G", "--device", "cpu"]):
        main([*options, *more])
        assert "This plans for the CPU" not in capsys.readouterr().out
    assert main([*options, "--memory", "8G", "--device", "gpu"]) == 0
    assert "with demo on cuda: fp32" in capsys.readouterr().out


def made_plan(precision: str, placement: str, seconds: float | None, refusal: str | None = None) -> Plan:
    return Plan(precision, placement, 10**9, "trunk", 10**8, 10**8, 0, seconds, None, True, refusal)


@pytest.mark.parametrize(
    ("streamed", "int8", "faster"),
    [(None, None, True), (100.0, 50.0, True), (50.0, 100.0, False), (100.0, None, True)],
)
def test_int8_is_named_where_it_is_faster(streamed: float | None, int8: float | None, faster: bool) -> None:
    chosen = made_plan("fp32", "streamed", streamed)
    small = made_plan("int8", "resident", int8)
    plans = Plans(300, "m", "cuda", "fp32", 8 * 10**9, 3, (chosen, small), chosen, "it fits", ())
    assert plan_text.faster_plan(plans) is (small if faster else None)
    text = plan_text.plans_text(plans, "8GB (7.45 GiB)", "lowmem-fold fold")
    assert ("--precision int8 fits with all weights resident" in text) is faster
    assert ("(50.0 s instead of 100 s)" in text or "(50.0 s instead of 2 min)" in text) is (int8 == 50.0)


@pytest.mark.parametrize(
    ("placement", "refusal"), [("resident", None), ("streamed", "needs 9 GiB")], ids=["resident", "int8-does-not-fit"]
)
def test_int8_is_not_named_where_it_gains_nothing(placement: str, refusal: str | None) -> None:
    chosen, small = made_plan("fp32", placement, None), made_plan("int8", "resident", None, refusal)
    plans = Plans(300, "m", "cuda", "fp32", 8 * 10**9, 3, (chosen, small), chosen, "it fits", ())
    assert plan_text.faster_plan(plans) is None


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "-L", "60", "--json", *DEMO]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(
        json.dumps(lf.plan(60, "1GB", model="demo", device="cpu").to_dict())
    )


def test_what_fits_nowhere_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "-L", "600", "--model", "demo", "--device", "cpu", "--memory", "381MB", "--no-calibrate"]) == 1
    out = capsys.readouterr().out
    assert (
        out.startswith("No plan for 600 residues with demo on cpu: fp32 does not fit in")
        and "residues would fit in fp32" in out
    )


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
    assert out.startswith("4 of 4 records fit in 1GB (0.93 GiB), together with weights resident: tensors peak at ")
    assert out.count("resident") == 5 and f"lowmem-fold fold {fasta} -o out/ --model demo" in out


def test_file_needs_no_option(capsys: pytest.CaptureFixture[str], fasta: Path) -> None:
    assert main(["plan", *DEMO, str(fasta)]) == 0
    assert "4 of 4 records fit" in capsys.readouterr().out


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
        (["-L", "0"], "--length must be a whole number"),
        (["-L", "10", "--memory", "8Q"], "8GiB"),
        (["-L", "10", "--memory", "8"], "write 8GB"),
        (["-L", "10", "--memory", "9" * 5000], "not a memory size"),
        (["-L", "10", "--precision", "int3"], "int3"),
        (["-L", "10", "--model", "someone/else"], "hf download"),
        (["-L", "10", "--model", "esmfold_v1"], "Did you mean facebook/esmfold_v1?"),
        (["-L", "10", "--device", "cuda", "--calibrate"], "--calibrate measures a device, and cuda is not here"),
        (["-i", "absent.fasta"], "absent.fasta"),
        (["300"], "To plan for 300 residues: -L 300"),
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
    assert plan_text.duration(seconds) == text


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
