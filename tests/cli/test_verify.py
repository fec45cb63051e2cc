from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from lowmem_fold.bench import chains
from lowmem_fold.bench.records import Measurement, read_measurements
from lowmem_fold.bench.verify import LIMITS, Verified
from lowmem_fold.cli.main import main
from lowmem_fold.cli.verify import text

SHORTEST = chains.known_chains()[:1]


@pytest.fixture
def one_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chains, "known_chains", lambda: SHORTEST)


def measurement(precision: str | None, **samples: float) -> Measurement:
    environment = {"gpus": [], "cpu": {"model": "A CPU"}, "versions": {"torch": "2"}}
    requested = {
        "code": "lowmem_fold" if precision else "stock chunk_size 64",
        "model": "demo",
        "precision": precision,
        "num_recycles": 3,
    }
    resolved = {"fingerprint": "0" * 16, "device": "cpu", "chains": ["1abcA"], "lengths": [79]}
    return Measurement("verify", requested, resolved, environment, {name: [v] for name, v in samples.items()})


def found(**changes: float) -> Verified:
    """A run in which all is well, but for some samples."""
    stock = measurement(None, experiment_tm_score=0.7)
    ours = measurement("fp32", experiment_tm_score=0.7, **(dict.fromkeys(LIMITS, 1e-5) | changes))
    int8 = measurement(
        "int8",
        experiment_tm_score=0.69,
        fp32_tm_score=0.98,
        fp32_ca_rmsd_angstrom=0.2,
        fp32_lddt_ca=0.97,
        fp32_plddt_difference=-0.5,
    )
    return Verified([stock, ours, int8])


def test_the_demo_is_verified(
    tmp_path: Path, one_chain: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "record.jsonl"
    arguments = ["verify", "-m", "demo", "--device", "cpu", "--precisions", "fp32,int8", "-o", str(out)]
    assert main(arguments) == 0
    shown = capsys.readouterr()
    records = read_measurements(out)
    assert [record.requested["precision"] for record in records] == [None, "fp32", "int8"]
    assert "VERDICT: the same." in shown.out
    (median, worst) = re.search(r"int8 +([\d.]+), ([\d.]+)", shown.out).groups()
    assert float(median) == float(worst) == pytest.approx(records[2].samples["fp32_ca_rmsd_angstrom"][0], abs=5e-4)
    assert f"{records[0].samples['experiment_gdt_ts'][0]:.3f}" in shown.out
    assert "int8: 3a4rA, 79 residues" in shown.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--precisions", "int9"], "unknown precision 'int9'"),
        (["--device", "tpu"], "tpu"),
        (["-o", "."], "no file can be written there"),
        (["-o", "nowhere/record.jsonl"], "no file can be written there"),
        (["-m", "./nowhere"], "there is no folder ./nowhere"),
    ],
    ids=["precision", "device", "folder", "missing", "model"],
)
def test_wrong_options_are_told_before_anything_is_folded(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["verify", "-m", "demo", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_quantized_folder_is_no_model_of_stock(
    sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["quantize", "-m", str(sound), "--precision", "fp16", "-o", str(tmp_path / "half")]) == 0
    assert main(["verify", "-m", str(tmp_path / "half"), "-o", str(tmp_path / "record.jsonl")]) == 2
    assert "give the model that it was made of" in capsys.readouterr().err


# --- what is printed


def test_what_is_the_same_is_called_so() -> None:
    shown = text(found())
    assert "VERDICT: the same." in shown
    assert "TOO MUCH" not in shown
    assert "1abcA (79); 3 recycles" in shown


@pytest.mark.parametrize("name", LIMITS)
def test_each_limit_decides(name: str) -> None:
    over = found(**{name: -1.01 * LIMITS[name]})
    assert over.excesses == {name: pytest.approx(1.01 * LIMITS[name])}
    assert not over.holds
    assert "VERDICT: NOT THE SAME" in text(over)
    assert text(over).count("TOO MUCH") == 1
    assert found(**{name: 0.99 * LIMITS[name]}).holds


def test_what_was_not_compared_is_not_called_the_same() -> None:
    run = found()
    run.measurements[0] = replace(run.stock, status="oom", reason="RuntimeError: out of memory", samples={})
    without = {name: values for name, values in run.reference.samples.items() if name not in LIMITS}
    run.measurements[1] = replace(run.reference, samples=without)
    assert not run.holds
    assert "VERDICT: not shown" in text(run)
    assert "not compared: stock chunk_size 64: RuntimeError: out of memory" in text(run)


@pytest.mark.parametrize(
    ("score", "words"),
    [(0.995, "the same structures"), (0.95, "loops and uncertain parts move"), (0.6, "do not use it without looking")],
    ids=["same", "close", "other"],
)
def test_drift_is_put_into_words_by_the_worst_chain(score: float, words: str) -> None:
    run = found()
    run.measurements[2] = replace(run.precisions[0], samples={"fp32_tm_score": [0.999, score], **{
        f"fp32_{name}": [0.0, 0.0] for name in ("ca_rmsd_angstrom", "lddt_ca", "plddt_difference")
    }})  # fmt: skip
    assert words in text(run)
    assert f"smallest TM-score to fp32 {score:.3f}" in text(run)


def test_a_precision_that_is_not_here_says_why() -> None:
    run = found()
    run.measurements[2] = replace(run.precisions[0], status="refused", reason="int8 is made by a package", samples={})
    assert "not folded: int8 is made by a package" in text(run)
