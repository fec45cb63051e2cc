"""Measuring a small model of random weights; that the figures mean what their names say, not how large they are."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import lowmem_fold as lf
from lowmem_fold.bench import measure as module
from lowmem_fold.bench import measured_fold
from lowmem_fold.bench.accuracy import against_experiment, compare
from lowmem_fold.bench.chains import chain_of
from lowmem_fold.bench.clock import PhaseClock
from lowmem_fold.bench.configuration import Configuration
from lowmem_fold.bench.measure import is_stable, measure
from lowmem_fold.bench.records import Measurement
from lowmem_fold.bench.references import load_outputs, reference_path, save_outputs
from lowmem_fold.checkpoints.checkpoint import find_checkpoint
from lowmem_fold.memory.ledger import Ledger

PHASES = ("stem", "trunk", "structure", "heads")


PATIENT = "module.LEDGER_SECONDS = module.STEADY_SECONDS = module.WARM_UP_SECONDS = float('inf')"
"""A busy machine is not to change what is measured."""


@pytest.fixture(scope="module", autouse=True)
def patient() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("LEDGER_SECONDS", "STEADY_SECONDS", "WARM_UP_SECONDS"):
            patch.setattr(module, name, float("inf"))
        yield


@pytest.fixture(scope="module")
def first(sound: Path) -> Configuration:
    return Configuration(model=str(sound), device="cpu", length=79, num_recycles=1, repeats=2)


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("references")


@pytest.fixture(scope="module")
def record(first: Configuration, references: Path) -> Measurement:
    return measure(first, references)


@pytest.fixture(scope="module")
def prediction(first: Configuration) -> lf.Prediction:
    return lf.load(first.model, device="cpu").fold(chain_of(79)[0], num_recycles=1)


def test_the_record_says_what_ran(record: Measurement, first: Configuration) -> None:
    assert (record.status, record.reason, record.benchmark) == ("ok", None, "sweep")
    assert record.requested == {**first.requested(), "model": "sound"}, "no folder of this machine"
    about = record.resolved
    assert (about["model"], about["chain"], about["placement"], about["device"]) == (
        "sound",
        "3a4rA",
        "resident",
        "cpu",
    )
    assert about["fingerprint"] == find_checkpoint(first.model).fingerprint()
    assert (about["warm_up_folds"], about["repeats_ended_by"]) == (1, "repeats")
    assert first.model not in record.to_line()


def test_every_fold_has_its_times_and_peaks(record: Measurement) -> None:
    samples = record.samples
    of_folds = ["seconds", *(f"{phase}_seconds" for phase in PHASES)]
    if sys.platform == "linux":
        of_folds += ["anonymous_peak_bytes", "resident_peak_bytes"]
    assert {name: len(samples[name]) for name in of_folds} == dict.fromkeys(of_folds, 2)
    once = ["load_seconds", "first_seconds", "live_peak_bytes", "predicted_peak_bytes", "predicted_process_bytes"]
    assert {name: len(samples[name]) for name in once} == dict.fromkeys(once, 1)
    for number, seconds in enumerate(samples["seconds"]):
        phases = sum(samples[f"{phase}_seconds"][number] for phase in PHASES)
        assert 0 < phases <= seconds, "the phases are parts of the fold, one after the other"


def test_a_long_fold_is_its_own_warm_up(first: Configuration, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WARM_UP_SECONDS", 0.0)
    found = measure(replace(first, length=20, repeats=1))
    assert (found.resolved["warm_up_folds"], found.resolved["repeats_ended_by"]) == (0, "repeats")
    assert found.samples["seconds"] == found.samples["first_seconds"]
    assert measure(replace(first, length=20, repeats=2)).resolved["warm_up_folds"] == 1


def test_every_key_is_documented(record: Measurement) -> None:
    page = (Path(module.__file__).parent / "README.md").read_text()
    families = ("load_", "fp32_", "experiment_")
    names = {name for name in record.samples if not name.startswith(families)}
    for name in [*names, *record.requested, *record.resolved, "load_seconds", "fp32_*", "experiment_*"]:
        assert f"`{name}`" in page, name


def test_outputs_are_those_of_a_fold(record: Measurement, prediction: lf.Prediction) -> None:
    assert record.samples["ptm"] == [pytest.approx(prediction.ptm, rel=1e-5)]
    assert record.samples["mean_plddt"] == [pytest.approx(prediction.mean_plddt, rel=1e-5)]
    structure = chain_of(79)[1]
    assert structure is not None
    expected = against_experiment({"positions": prediction.positions, "plddt": prediction.plddt}, structure)
    found = {name: values for name, values in record.samples.items() if name.startswith("experiment_")}
    assert found == {f"experiment_{name}": [pytest.approx(value, abs=1e-5)] for name, value in expected.items()}


def test_live_bytes_are_a_fold_s_and_the_prediction_adds_the_weights(record: Measurement, first: Configuration) -> None:
    folder = lf.load(first.model, device="cpu")
    with Ledger() as ledger:
        folder.fold(chain_of(79)[0], num_recycles=1)
    assert record.samples["live_peak_bytes"] == [pytest.approx(ledger.peak_bytes, rel=0.01)]
    chosen = lf.plan(79, "8GB", model=first.model, device="cpu", num_recycles=1).plans[0]
    assert chosen.placement == "resident"
    assert record.samples["predicted_peak_bytes"] == [chosen.peak_bytes]
    assert record.samples["predicted_process_bytes"] == [chosen.needed_bytes]


def test_the_reference_keeps_its_outputs_and_others_are_compared_with_them(
    record: Measurement, first: Configuration, references: Path
) -> None:
    path = reference_path(references, first, record.resolved["fingerprint"])
    kept = load_outputs(path)
    assert kept is not None and kept["distogram_logits"].shape == (79, 79, 64)
    assert not any(name.startswith("fp32_") for name in record.samples), "nobody is compared with himself"
    asked = replace(first, precision="bf16", repeats=1)
    other = measure(asked, references)
    fold = lf.load(first.model, device="cpu", precision="bf16").fold(chain_of(79)[0], num_recycles=1, distogram=True)
    expected = compare({name: getattr(fold, name) for name in kept}, kept)
    found = {name: values for name, values in other.samples.items() if name.startswith("fp32_")}
    assert found == {f"fp32_{name}": [pytest.approx(value, abs=1e-4)] for name, value in expected.items()}
    assert expected["ca_rmsd_angstrom"] > 0


def test_a_peer_in_a_process_of_its_own(first: Configuration, references: Path, record: Measurement) -> None:
    asked = replace(first, code="stock fp32", precision=None, placement=None, repeats=1)
    program = f"from lowmem_fold.bench import measure as module; {PATIENT}; module.main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "--references", str(references)],
        input=asked.to_json(),
        capture_output=True,
        text=True,
        check=True,
    )
    found = Measurement.from_line(done.stdout)
    assert found.status == "ok", found.reason
    assert sum(found.resolved["linear_layers"].values()) > 50
    assert found.samples["fp32_ca_rmsd_angstrom"][0] < 1e-2, "stock and ours agree"
    assert found.samples["live_peak_bytes"][0] > record.samples["live_peak_bytes"][0]
    assert not any(name.startswith("predicted") or name.startswith("stem") for name in found.samples)


@pytest.mark.parametrize(
    ("change", "error", "status", "reason"),
    [
        ({}, torch.OutOfMemoryError("CUDA out of memory. Tried"), "oom", "OutOfMemoryError: CUDA out of memory."),
        ({}, RuntimeError("[enforce fail] can't allocate memory"), "oom", "can't allocate"),
        ({}, ArithmeticError("it broke\nin two"), "failed", "ArithmeticError: it broke"),
        ({"precision": "int8", "placement": "streamed"}, None, "refused", "lowmem-fold quantize"),
        ({"placement": None, "memory": "1KB"}, None, "refused", "does not fit"),
        (
            {"code": "accelerate cpu_offload", "precision": None, "placement": None},
            None,
            "refused",
            "offloading brings weights from main memory to a card",
        ),
    ],
    ids=["cuda-oom", "cpu-oom", "crash", "placement", "budget", "peer"],
)
def test_what_goes_wrong_is_a_record(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    first: Configuration,
    change: dict,
    error: Exception | None,
    status: str,
    reason: str,
) -> None:
    if error is not None:

        def fails(*_, **__):
            raise error

        monkeypatch.setattr(measured_fold.OurFold, "__call__", fails)
    found = measure(replace(first, **change))
    assert found.status == status and reason in (found.reason or "")
    assert "in two" not in (found.reason or "")
    assert ("load_seconds" in found.samples) == (error is not None)
    assert "seconds" not in found.samples
    assert ("Traceback" in capsys.readouterr().err) == (status == "failed")


def cut(first: Configuration, **samples: list[float]) -> Measurement:
    run = module._Run(first, None, 0.0)
    run.samples |= samples
    return run.cut_short(60)


def test_at_the_end_of_the_time_samples_are_kept(first: Configuration) -> None:
    timed = cut(first, load_seconds=[1.0], first_seconds=[9.0], seconds=[8.0])
    assert (timed.status, timed.reason, timed.resolved["repeats_ended_by"]) == ("ok", None, "limit")
    warm = cut(first, load_seconds=[1.0], first_seconds=[9.0])
    assert (warm.status, warm.reason) == ("timeout", "not done after 60 s; its first fold took 9.0 s")
    assert warm.samples["first_seconds"] == [9.0]
    assert cut(first).reason == "not done after 60 s"


def test_at_the_end_of_the_time_what_there_is_is_told() -> None:
    """By the process itself, on the way through a fold of minutes; how far it came, a busy machine decides."""
    slow = Configuration(model="demo", device="cpu", length=300, num_recycles=10_000)
    command = [sys.executable, "-m", "lowmem_fold.bench.measure", "--limit", "5"]
    done = subprocess.run(command, input=slow.to_json(), capture_output=True, text=True, check=True)
    found = Measurement.from_line(done.stdout)
    assert (found.status, found.reason) == ("timeout", "not done after 5 s")
    assert found.samples.keys() <= {name for name in found.samples if name.startswith("load_")}


def test_half_of_the_time_limit_ends_the_repeats(first: Configuration) -> None:
    found = measure(replace(first, repeats=50), limit_seconds=1e-6)
    assert len(found.samples["seconds"]) == 1 and found.resolved["repeats_ended_by"] == "seconds"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [([], False), ([1.0, 1.0], False), ([1.0, 1.02, 1.04], True), ([1.0, 1.02, 1.06], False), ([9.0, 1, 1, 1], True)],
    ids=["none", "two", "near", "apart", "slow-first"],
)
def test_stable_folds(seconds: list[float], expected: bool) -> None:
    assert is_stable(seconds) is expected


def test_the_clock_adds_up_phases_that_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 1.0, 3.0, 7.0, 15.0])
    monkeypatch.setattr("lowmem_fold.bench.clock.now", lambda device: next(times))
    clock = PhaseClock(torch.device("cpu"))
    for phase in ("stem", "trunk", "structure", "trunk"):
        clock.begins(phase)
    clock.stop()
    assert clock.seconds == {"stem": 1.0, "trunk": 2.0 + 8.0, "structure": 4.0}


def test_outputs_are_kept_by_what_decides_them(tmp_path: Path, first: Configuration) -> None:
    same = [replace(first, precision="int8"), replace(first, code="stock fp32", precision=None, placement=None)]
    others = [replace(first, length=80), replace(first, num_recycles=2)]
    path = reference_path(tmp_path / "new", first, "f00")
    assert {reference_path(tmp_path / "new", each, "f00") for each in same} == {path}
    assert path not in {reference_path(tmp_path / "new", each, "f00") for each in others}
    assert path != reference_path(tmp_path / "new", first, "f01")
    assert load_outputs(path) is None
    save_outputs(path, {"ptm": 0.5, "plddt": np.arange(3.0)})
    found = load_outputs(path)
    assert found is not None and float(found["ptm"]) == 0.5 and found["plddt"].tolist() == [0, 1, 2]
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_configuration_is_read_as_json() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lowmem_fold.bench.measure"],
        input=json.dumps({"length": 1}),
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0 and "a configuration has" in done.stderr and done.stdout == ""
