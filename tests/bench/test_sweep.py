from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lowmem_fold.bench.configuration import Configuration
from lowmem_fold.bench.records import Measurement, append_measurement, read_measurements
from lowmem_fold.bench.sweep import Sweep
from lowmem_fold.errors import InputError, ModelError
from lowmem_fold.run.stopping import Stopped, StopSignals
from tests.bench.fake_child import CRASH, FAILED, KILLED, MUTE, OK, OOM, REFUSED, SLOW

CHILD = (sys.executable, str(Path(__file__).with_name("fake_child.py")))
FIRST = Configuration(device="cpu", repeats=1)


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "records.jsonl"


def sweep(path: Path, *configurations: Configuration, limit: float = 60, **calls) -> Sweep:
    return Sweep(configurations, path, limit, child=CHILD, **calls)


def of_length(length: int) -> Configuration:
    return replace(FIRST, precision="int8", length=length)


@pytest.mark.parametrize(
    ("length", "status", "reason"),
    [
        (OK, "ok", None),
        (OOM, "oom", "no more"),
        (REFUSED, "refused", "too much"),
        (FAILED, "failed", "it broke"),
        (CRASH, "failed", "the process ended with code 3: segmentation of a kind"),
        (MUTE, "failed", "the process ended with code 0: it said nothing"),
        pytest.param(
            KILLED,
            "oom",
            "the process was killed, which the system does when main memory runs out",
            marks=pytest.mark.skipif(sys.platform == "win32", reason="no signals"),
        ),
    ],
    ids=["ok", "oom", "refused", "failed", "crash", "mute", "killed"],
)
def test_every_end_is_a_record(
    path: Path, capfd: pytest.CaptureFixture[str], length: int, status: str, reason: str | None
) -> None:
    sweep(path, of_length(length)).run()
    (record,) = read_measurements(path)
    assert (record.status, record.reason) == (status, reason)
    assert record.requested == of_length(length).requested()
    assert record.resolved["fingerprint"] and record.environment["cpu"]["cores"]
    assert ("Traceback of the child" in capfd.readouterr().err) == (length == FAILED)
    assert [each.status for each in sweep(path, of_length(length)).records()] == [status]


def test_a_time_out_is_a_record_and_ends_the_process(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lowmem_fold.bench.sweep._GRACE_SECONDS", 0.0)
    monkeypatch.setattr("lowmem_fold.bench.sweep._POLL_SECONDS", 0.05)
    start, waited = time.monotonic(), []
    sweep(path, of_length(SLOW), limit=1.5, waits=waited.append).run()
    assert time.monotonic() - start < 500, "the child sleeps for 600 s"
    (record,) = read_measurements(path)
    assert (record.status, record.reason, record.samples) == ("timeout", "not done after 1.5 s", {})
    assert len(waited) >= 3 and waited == sorted(waited), "a bar is told that time goes by"


def test_settled_configurations_are_not_measured_again(path: Path) -> None:
    asked = [of_length(length) for length in (OK, OOM, REFUSED, FAILED)]
    first = sweep(path, *asked)
    assert first.left() == asked
    first.run()
    begun: list[Configuration] = []
    again = sweep(path, *asked, of_length(20), begins=begun.append)
    again.run()
    assert begun == [of_length(FAILED), of_length(20)], "a failure may end otherwise"
    assert len(read_measurements(path)) == 6
    assert [record.status for record in again.records()] == ["ok", "oom", "refused", "failed", "ok"]


@pytest.mark.parametrize(
    "change",
    [{"requested": "num_recycles"}, {"resolved": "fingerprint"}, {"environment": "versions"}, {"benchmark": "other"}],
    ids=lambda change: next(iter(change)),
)
def test_what_was_asked_otherwise_does_not_count(path: Path, change: dict) -> None:
    sweep(path, of_length(OK)).run()
    values = json.loads(path.read_text())
    for place, name in change.items():
        if place == "benchmark":
            values[place] = name
        else:
            values[place][name] = {"lowmem_fold": "0.0"} if name == "versions" else "another"
    path.write_text("")
    append_measurement(path, Measurement(**values))
    assert sweep(path, of_length(OK)).left() == [of_length(OK)]
    assert sweep(path, of_length(OK)).records() == []


def test_a_configuration_is_measured_once_however_often_it_is_asked_for(path: Path) -> None:
    assert sweep(path, of_length(OK), of_length(20), of_length(OK)).left() == [of_length(OK), of_length(20)]


def test_references_come_first_and_are_there_until_all_is_measured(path: Path) -> None:
    reference, other, unsettled = replace(FIRST, length=30), of_length(30), of_length(FAILED)
    outputs = path.with_name("records.jsonl.outputs")
    sweep(path, other, unsettled, reference).run()
    records = read_measurements(path)
    assert [record.requested["precision"] for record in records] == ["fp32", "int8", "int8"]
    assert records[1].samples["fp32_tm_score"] == [1.0], "its reference was there"
    assert outputs.is_dir(), "something is left to measure"
    sweep(path, other, reference).run()
    assert not outputs.exists() and len(read_measurements(path)) == 3


def test_a_reference_is_measured_again_for_those_that_need_it(path: Path) -> None:
    reference, later = replace(FIRST, length=30), of_length(30)
    sweep(path, reference).run()
    assert sweep(path, reference).left() == []
    both = sweep(path, reference, later)
    assert both.left() == [reference, later]
    both.run()
    assert read_measurements(path)[-1].samples["fp32_tm_score"] == [1.0]
    longer = [replace(each, length=2048) for each in (reference, later)]
    sweep(path, longer[0]).run()
    assert sweep(path, *longer).left() == [longer[1]], "no outputs are kept of so long a chain"


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
def test_ctrl_c_ends_the_child_and_leaves_whole_records(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started, start = [], subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *given, **how: started.append(start(*given, **how)) or started[-1])
    configurations = (of_length(OK), of_length(SLOW), of_length(20))
    begun: list[Configuration] = []

    def begins(configuration: Configuration) -> None:
        begun.append(configuration)
        if configuration.length == SLOW:
            threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()

    with pytest.raises(Stopped), StopSignals() as stops:
        sweep(path, *configurations, begins=begins).run(stops)
    assert begun == list(configurations[:2])
    assert [record.status for record in read_measurements(path)] == ["ok"]
    assert [process.returncode for process in started] == [0, -signal.SIGKILL]
    assert sweep(path, *configurations).left() == list(configurations[1:])


def test_a_damaged_file_and_an_unknown_model_are_told_before_anything_runs(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("{")
    with pytest.raises(InputError, match="cut short"):
        sweep(path, of_length(OK))
    with pytest.raises(ModelError, match="there is no folder /nowhere"):
        sweep(path.with_name("other.jsonl"), replace(FIRST, model="/nowhere"))
