from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from lowmem_fold.bench import probe, report, sweep
from lowmem_fold.bench.configuration import OURS
from lowmem_fold.bench.records import read_measurements
from lowmem_fold.cli import bench
from lowmem_fold.cli.main import main
from lowmem_fold.system import devices
from tests.bench.fake_child import FAILED, LATE, OK, OOM

REPOSITORY = Path(__file__).parents[2]
DEMO = ["--models", "demo", "--device", "cpu"]


@pytest.fixture(autouse=True)
def fake_child(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is measured, and records go to an empty folder."""
    child = (sys.executable, str(REPOSITORY / "tests" / "bench" / "fake_child.py"))
    monkeypatch.setattr(sweep.Sweep.__init__, "__defaults__", (*sweep.Sweep.__init__.__defaults__[:-1], child))
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> int:
    return main(["bench", *arguments])


def asked(path: str) -> list[tuple]:
    names = ("code", "precision", "placement", "length", "num_recycles")
    return [tuple(record.requested[name] for name in names) for record in read_measurements(path)]


def test_a_sweep_spelled_out(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--precisions", "fp32", "int8", "--placements", "resident", "streamed", "--lengths", "20", "30"]
    assert run(*DEMO, *options, "--num-recycles", "0", "1", "-o", "out.jsonl") == 0
    ours = [
        (OURS, p, w, n, r) for p in ("fp32", "int8") for w in ("resident", "streamed") for n in (20, 30) for r in (0, 1)
    ]
    stock = [("stock fp32", None, None, n, r) for n in (20, 30) for r in (0, 1)]
    assert sorted(asked("out.jsonl"), key=str) == sorted([*ours, *stock], key=str)
    out = capsys.readouterr().out
    assert out.count("demo on A CPU, 2 cores, ") == 2 and "20 configurations: 20 ok. Records are in out.jsonl" in out
    assert "lowmem_fold int8, streamed" in out and "x: ratio of the column before it to `stock fp32`" in out


def test_what_a_child_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*DEMO, "--codes", OURS, "--lengths", "20", "--chunk-size", "8", "--repeats", "2") == 0
    (record,) = read_measurements("bench.jsonl")
    wanted = {"chunk_size": 8, "repeats": 2, "device": "cpu", "memory": None, "model": "demo", "precision": "fp32"}
    assert {name: record.requested[name] for name in wanted} == wanted


def test_a_second_run_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    options = [*DEMO, "--codes", OURS, "--lengths", str(OK), str(OOM)]
    assert run(*options) == 0
    before = Path("bench.jsonl").read_bytes()
    capsys.readouterr()
    assert run(*options) == 0
    out = capsys.readouterr().out
    assert "2 of 2 were measured before" in out and "oom: no more" in out
    assert Path("bench.jsonl").read_bytes() == before


def test_a_failure_is_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*DEMO, "--codes", OURS, "--lengths", str(FAILED)) == 1
    assert "1 configuration: 1 failed" in capsys.readouterr().out


def test_a_preset_has_a_file_and_a_limit_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = []
    monkeypatch.setattr(probe, "slowness", lambda: 1.0)
    apart = sweep.measured_apart
    monkeypatch.setattr(sweep, "measured_apart", lambda *given: limits.append(given[3]) or apart(*given))
    assert run("--preset", "quick") == 0
    assert set(limits) == {bench.PRESETS["quick"].limit_seconds}
    assert len(asked("bench-quick.jsonl")) == len(bench.PRESETS["quick"].configurations("demo", "cpu", None))
    run(*DEMO, "--lengths", "20", "--time-limit", "17")
    assert limits[-1] == 17


def test_a_slow_machine_has_more_time(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    limits = []
    monkeypatch.setattr(probe, "slowness", lambda: 3.5)
    apart = sweep.measured_apart
    monkeypatch.setattr(sweep, "measured_apart", lambda *given: limits.append(given[3]) or apart(*given))
    assert run("--preset", "quick") == 0
    assert set(limits) == {210.0}
    assert "3.5 times as slow" in (out := capsys.readouterr().out) and "gets 210 s instead of 60 s" in out
    monkeypatch.setattr(probe, "slowness", lambda: pytest.fail("nothing is left to be measured"))
    assert run("--preset", "quick") == 0


def test_what_has_no_number_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*DEMO, "--codes", OURS, "--lengths", str(OK), str(LATE), "--time-limit", "5000") == 0
    out = capsys.readouterr().out
    assert f"No time was measured of 1 of 2:\n  lowmem_fold fp32, resident, {LATE} residues: timeout, no end" in out
    assert "--time-limit 20000" in out


def test_a_report_is_written_of_the_records(monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    monkeypatch.setattr(report, "write", lambda *given: written.append(given))
    assert run(*DEMO, "--codes", OURS, "--lengths", "20", "-o", "out.jsonl", "--report", "out.html") == 0
    assert written == [(Path("out.jsonl"), Path("out.html"))]


def test_a_report_that_cannot_be_made_is_refused_before_anything_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    sweep_of = (*DEMO, "--codes", OURS, "--lengths", "20", "-o", "out.jsonl")
    assert run(*sweep_of, "--report", "nowhere/out.html") == 2
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert run(*sweep_of, "--report", "out.html") == 2
    assert not Path("out.jsonl").exists()


def test_a_terminal_gets_a_bar_with_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    run(*DEMO, "--codes", OURS, "--lengths", "20", "30")
    shown = stream.getvalue()
    assert "lowmem_fold fp32 resident 20 residues |" in shown and "1/2 [" in shown and " left]" in shown


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "--preset quick, full, or a sweep, such as --models demo --lengths 64 128"),
        (["--preset", "quick", "--lengths", "3"], "--preset quick decides of --lengths"),
        (["--preset", "quick", "--models", "demo", "other"], "measures one model; 2 are named"),
        ([*DEMO, "--codes", "stock"], "'stock' is unknown; choose from: 'lowmem_fold', 'stock fp32'"),
        ([*DEMO, "--precisions", "int3"], "int3"),
        ([*DEMO, "--lengths", "0"], "length must be a whole number"),
        ([*DEMO, "--time-limit", "0"], "--time-limit must be above 0"),
        (["--models", "demo", "--device", "tpu"], "tpu"),
        (["--models", "demo", "--device", "cuda"], "--device cuda is not here"),
        (["--models", "/nowhere", "--device", "cpu"], "there is no folder /nowhere"),
        ([*DEMO, "-o", "."], "cannot be read"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_mistakes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], text: str
) -> None:
    monkeypatch.setattr(devices, "_has_cuda", lambda: False)
    assert run(*arguments) == 2
    assert text in capsys.readouterr().err


def test_records_are_json_lines() -> None:
    run(*DEMO, "--codes", OURS, "--lengths", "20")
    (line,) = Path("bench.jsonl").read_text().splitlines()
    assert json.loads(line)["benchmark"] == "sweep"
