"""The run over many records, with a model that returns helices: what is written, skipped, refused, and survives."""

from __future__ import annotations

import gc
import json
import os
import random
import signal
import subprocess
import sys
import time
import warnings
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lowmem_fold.errors import DeviceFailedError, InputError, ModelError
from lowmem_fold.memory.exhaustion import is_out_of_memory
from lowmem_fold.run import batch_fold
from lowmem_fold.run.csv_table import csv_text
from lowmem_fold.run.folding import fold_records
from lowmem_fold.run.options import RunOptions
from lowmem_fold.run.progress import SilentProgress

from ..fake_run import FakeFolder, helix, make_records

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).parents[1] / "fake_run.py"


def lines_of(out: Path) -> list[dict]:
    """Every line of scores.jsonl, each of which must be whole."""
    text = (out / "scores.jsonl").read_text()
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def by_id(out: Path) -> dict[str, dict]:
    lines = lines_of(out)
    table = {line["id"]: line for line in lines}
    assert len(table) == len(lines)
    return table


def names(out: Path) -> set[str]:
    return {path.name for path in out.iterdir()}


@pytest.fixture(autouse=True)
def no_planner(monkeypatch):
    """The planner takes seconds, and knows nothing of a fake model."""
    monkeypatch.setattr("lowmem_fold.run.failure.smallest_budget_text", lambda record, options: "")


# What is written


def test_files_of_a_run(tmp_path):
    records = make_records(5, 8)
    summary = fold_records(records, tmp_path / "a" / "out", load=FakeFolder().load)
    assert summary.folded == ["r0", "r1"]
    assert not summary.failed and not summary.skipped and not summary.suspect
    out = tmp_path / "a" / "out"
    assert names(out) == {
        *("config.json", "scores.jsonl", "scores.csv", "lowmem_fold.log"),
        *("r0.pdb", "r0.scores.json", "r1.pdb", "r1.scores.json"),
    }
    assert (out / "r1.pdb").read_text() == helix(records[1]).to_pdb()
    scores = json.loads((out / "r1.scores.json").read_text())
    assert scores["plddt"] == [80.5] * 8
    line = by_id(out)["r1"]
    assert {key: scores[key] for key in line} == line
    assert "plddt" not in line
    assert (line["status"], line["reason"], line["length"], line["ptm"]) == ("ok", None, 8, 0.75)
    assert line["peak_bytes"] > 0 and line["peak_meter"] and line["seconds"] >= 0


@pytest.mark.parametrize(
    ("format", "save_pae", "endings"),
    [
        ("pdb", False, {"pdb", "scores.json"}),
        ("cif", False, {"cif", "scores.json"}),
        ("both", True, {"pdb", "cif", "pae.json", "scores.json"}),
    ],
    ids=["pdb", "cif", "both-and-pae"],
)
def test_files_of_a_record(tmp_path, format, save_pae, endings):
    fold_records(make_records(4), tmp_path, RunOptions(format=format, save_pae=save_pae), load=FakeFolder().load)
    assert {name.removeprefix("r0.") for name in names(tmp_path) if name.startswith("r0.")} == endings


def test_config_is_there_before_the_first_record(tmp_path):
    seen = []
    folder = FakeFolder(before=lambda record: seen.append(json.loads((tmp_path / "config.json").read_text())))
    fold_records(make_records(4), tmp_path, RunOptions(num_recycles=1, chunk_size=32), load=folder.load)
    assert seen[0]["settings"]["num_recycles"] == 1
    assert seen[0]["settings"]["fingerprint"] == "f00d"
    assert seen[0]["options"]["chunk_size"] == 32
    assert seen[0]["versions"]["numpy"] == np.__version__


def test_options_reach_the_model(tmp_path):
    folder = FakeFolder()
    fold_records(make_records(4), tmp_path, RunOptions(num_recycles=1, recycle_tolerance=0.5), load=folder.load)
    (keywords,) = folder.keywords
    assert callable(keywords.pop("progress"))
    assert keywords == {"num_recycles": 1, "recycle_tolerance": 0.5, "chunk_size": None, "states": None}


def test_each_record_is_whole_before_the_next_begins(tmp_path):
    def see(record):
        number = int(record.id[1:])
        assert not number or list(by_id(tmp_path)) == [f"r{i}" for i in range(number)]
        assert all((tmp_path / f"r{i}.pdb").exists() for i in range(number))

    fold_records(make_records(3, 3, 3), tmp_path, load=FakeFolder(before=see).load)
    assert len(lines_of(tmp_path)) == 3


def test_suspect_result_is_written_with_its_reason(tmp_path):
    folder = FakeFolder(changes={"r0": {"ptm": 0.999, "plddt": np.full(6, 20, np.float32)}})
    summary = fold_records(make_records(6, 6), tmp_path, load=folder.load)
    assert summary.folded == ["r0", "r1"] and summary.suspect == ["r0"]
    line = by_id(tmp_path)["r0"]
    assert line["status"] == "suspect"
    assert "pTM 0.999" in line["reason"]
    assert (tmp_path / "r0.pdb").exists()


def test_result_that_is_not_finite_is_a_failure(tmp_path):
    folder = FakeFolder(changes={"r0": {"positions": np.full((6, 37, 3), np.nan, np.float32)}})
    summary = fold_records(make_records(6, 6), tmp_path, load=folder.load)
    assert (summary.folded, summary.failed) == (["r1"], ["r0"])
    assert "not finite" in by_id(tmp_path)["r0"]["reason"]
    assert not list(tmp_path.glob("r0*"))


# Failures


def boom(*ids):
    def before(record):
        if record.id in ids:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes\nat line 3")

    return before


def test_failure_of_one_record_does_not_stop_the_others(tmp_path):
    summary = fold_records(make_records(4, 5, 6), tmp_path, load=FakeFolder(before=boom("r1")).load)
    assert (summary.folded, summary.failed) == (["r0", "r2"], ["r1"])
    line = by_id(tmp_path)["r1"]
    assert (line["status"], line["error_type"], line["length"]) == ("failed", "RuntimeError", 5)
    assert line["reason"].startswith("out of memory (2 attempts, the last: resident, blocks of 4 rows): ")
    assert "99 bytes" in line["reason"]
    log = (tmp_path / "lowmem_fold.log").read_text()
    assert "Traceback" in log and "can't allocate memory" in log


def test_failed_record_is_tried_again_and_its_line_replaced(tmp_path):
    records = make_records(4, 5, 6)
    fold_records(records, tmp_path, load=FakeFolder(before=boom("r1", "r2")).load)
    second = FakeFolder(before=boom("r2"))
    summary = fold_records(records, tmp_path, load=second.load)
    assert (summary.skipped, summary.folded, summary.failed) == (["r0"], ["r1"], ["r2"])
    assert {id: line["status"] for id, line in by_id(tmp_path).items()} == {"r0": "ok", "r1": "ok", "r2": "failed"}


def test_memory_of_a_failed_fold_is_let_go(tmp_path):
    held = []

    def before(record):
        big = np.zeros(10)
        if record.id == "r0":
            held.append(weakref.ref(big))
            cycle: list = [big]
            cycle.append(cycle)
            raise MemoryError
        assert held[0]() is None

    gc.disable()
    try:
        fold_records(make_records(4, 4), tmp_path, load=FakeFolder(before=before).load)
    finally:
        gc.enable()
    assert {id: line["status"] for id, line in by_id(tmp_path).items()} == {"r0": "failed", "r1": "ok"}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("shapes differ"), False),
        (ValueError("out of memory"), False),
    ],
    ids=["python", "cuda", "cpu-allocator", "runtime", "value"],
)
def test_out_of_memory_is_told_from_other_errors(error, expected):
    assert is_out_of_memory(error) is expected


def test_model_that_does_not_fit_is_no_traceback(tmp_path):
    def load(model, **options):
        raise MemoryError

    with pytest.raises(ModelError, match=r"esmfold_v1: its weights do not fit"):
        fold_records(make_records(4), tmp_path / "out", load=load)
    assert not (tmp_path / "out").exists()


def test_full_disk_ends_the_run_and_leaves_it_sound(tmp_path, monkeypatch):
    records = make_records(4, 4, 4)
    real = os.replace

    def full(source, target):
        if Path(target).name == "r1.pdb":
            raise OSError(28, "No space left on device", str(target))
        real(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        fold_records(records, tmp_path, load=FakeFolder().load)
    monkeypatch.undo()
    assert list(by_id(tmp_path)) == ["r0"]
    summary = fold_records(records, tmp_path, load=FakeFolder().load)
    assert (summary.skipped, summary.folded) == (["r0"], ["r1", "r2"])


# Going on


def test_finished_records_are_skipped_and_the_model_is_not_loaded_for_nothing(tmp_path):
    records = make_records(4, 5)
    fold_records(records, tmp_path, load=FakeFolder().load)
    before = (tmp_path / "scores.jsonl").read_bytes()
    third = make_records(4, 5, 6)
    folder = FakeFolder()
    summary = fold_records(third, tmp_path, load=folder.load)
    assert (folder.folded, summary.skipped) == ([["r2"]], ["r0", "r1"])
    assert (tmp_path / "scores.jsonl").read_bytes().startswith(before)

    def load(model, **options):
        raise AssertionError("loaded")

    assert fold_records(third, tmp_path, load=load).skipped == ["r0", "r1", "r2"]


def test_overwrite_folds_again(tmp_path):
    records = make_records(4, 5)
    fold_records(records, tmp_path, load=FakeFolder().load)
    changed = FakeFolder(changes={"r0": {"ptm": 0.25}, "r1": {"ptm": 0.25}})
    fold_records(records, tmp_path, RunOptions(overwrite=True), load=changed.load)
    assert [line["ptm"] for line in lines_of(tmp_path)] == [0.25, 0.25]


def test_record_without_a_file_that_is_asked_for_is_folded_again(tmp_path):
    records = make_records(4, 5)
    fold_records(records, tmp_path, load=FakeFolder().load)
    (tmp_path / "r1.pdb").unlink()
    folder = FakeFolder()
    fold_records(records, tmp_path, load=folder.load)
    assert folder.folded == [["r1"]]
    folder = FakeFolder()
    fold_records(records, tmp_path, RunOptions(format="cif"), load=folder.load)
    assert folder.folded == [["r0"], ["r1"]]
    assert {"r0.pdb", "r0.cif", "r1.pdb", "r1.cif"} <= names(tmp_path)
    assert len(lines_of(tmp_path)) == 2


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:-20],
        lambda text: text + text.splitlines()[0] + "\n",
        lambda text: text.splitlines()[0] + "\n",
        lambda text: "",
        lambda text: text + '{"id": "r1", "ptm": 0.',
        lambda text: "garbage\n\n" + text,
    ],
    ids=["torn-last", "duplicate", "missing", "empty", "torn-duplicate", "garbage"],
)
def test_table_is_repaired(tmp_path, spoil):
    records = make_records(4, 5, 6)
    fold_records(records[:2], tmp_path, load=FakeFolder().load)
    whole = (tmp_path / "scores.jsonl").read_text()
    (tmp_path / "scores.jsonl").write_text(spoil(whole))
    fold_records(records, tmp_path, load=FakeFolder().load)
    table = by_id(tmp_path)
    assert set(table) == {"r0", "r1", "r2"}
    assert {id: table[id] for id in ("r0", "r1")} == {line["id"]: line for line in map(json.loads, whole.splitlines())}


def test_table_is_repaired_also_when_nothing_is_left_to_fold(tmp_path):
    records = make_records(4, 5)
    fold_records(records, tmp_path, load=FakeFolder().load)
    whole = (tmp_path / "scores.jsonl").read_text()
    (tmp_path / "scores.jsonl").write_text(whole[:-20])
    assert fold_records(records, tmp_path, load=FakeFolder().load).skipped == ["r0", "r1"]
    assert (tmp_path / "scores.jsonl").read_text() == whole


def test_torn_scores_count_as_not_finished(tmp_path):
    records = make_records(4, 5)
    fold_records(records, tmp_path, load=FakeFolder().load)
    path = tmp_path / "r0.scores.json"
    path.write_text(path.read_text()[:50])
    folder = FakeFolder()
    fold_records(records, tmp_path, load=folder.load)
    assert folder.folded == [["r0"]]
    assert len(by_id(tmp_path)) == 2


# Refusals


def refused(records, out, options=None, match=None, folder=None) -> str:
    """The message; what is in the folder must stay as it is."""
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=match) as caught:
        fold_records(records, out, options, load=(folder or FakeFolder()).load)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    return str(caught.value)


def test_other_settings_are_refused_by_name_and_value(tmp_path):
    records = make_records(4)
    fold_records(records, tmp_path, load=FakeFolder().load)
    text = refused(records, tmp_path, RunOptions(num_recycles=1, recycle_tolerance=0.5))
    assert "--num-recycles: 3 there, 1 now" in text
    assert "--recycle-tolerance: none there, 0.5 now" in text
    assert "--overwrite" in text and "-o" in text


def test_another_model_is_refused_by_its_fingerprint_not_its_name(tmp_path):
    records = make_records(4)
    fold_records(records, tmp_path, load=FakeFolder().load)
    moved = RunOptions(model="copy")
    assert fold_records(records, tmp_path, moved, load=FakeFolder().load).skipped == ["r0"]
    text = refused(records, tmp_path, RunOptions(model="other"), folder=FakeFolder(fingerprint="beef"))
    assert "--model: copy (fingerprint f00d) there, other (fingerprint beef) now" in text


@pytest.mark.parametrize(
    "options",
    [
        RunOptions(chunk_size=16),
        RunOptions(device="cuda"),
        RunOptions(max_tokens_per_batch=100),
        RunOptions(save_pae=False),
    ],
    ids=["chunk-size", "device", "batch", "pae"],
)
def test_settings_that_do_not_change_the_numbers_may_change(tmp_path, options):
    fold_records(make_records(4), tmp_path, load=FakeFolder().load)
    assert fold_records(make_records(4, 5), tmp_path, options, load=FakeFolder().load).folded == ["r1"]


def test_settings_may_change_while_nothing_is_finished(tmp_path):
    fold_records(make_records(4), tmp_path, load=FakeFolder(before=boom("r0")).load)
    assert fold_records(make_records(4), tmp_path, RunOptions(num_recycles=1), load=FakeFolder().load).folded == ["r0"]
    assert len(lines_of(tmp_path)) == 1


def test_overwrite_with_other_settings_leaves_nothing_of_the_old(tmp_path):
    records = make_records(4, 5)
    fold_records(records, tmp_path, RunOptions(format="both", save_pae=True), load=FakeFolder().load)
    fold_records(records, tmp_path, RunOptions(num_recycles=1, overwrite=True), load=FakeFolder().load)
    assert not list(tmp_path.glob("*.cif")) and not list(tmp_path.glob("*.pae.json"))
    assert len({line["settings_id"] for line in lines_of(tmp_path)}) == 1


def test_overwrite_with_other_settings_is_refused_where_it_would_mix(tmp_path):
    fold_records(make_records(4, 5), tmp_path, load=FakeFolder().load)
    text = refused(make_records(4), tmp_path, RunOptions(num_recycles=1, overwrite=True))
    assert "r1" in text and "--num-recycles: 3 there, 1 now" in text


def test_broken_off_overwrite_goes_on_without_it(tmp_path):
    records = make_records(4, 5, 6)
    fold_records(records, tmp_path, load=FakeFolder().load)
    once = RunOptions(num_recycles=1)

    def stop(record):
        if record.id == "r1":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fold_records(records, tmp_path, replace(once, overwrite=True), load=FakeFolder(before=stop).load)
    refused(records[:2], tmp_path, once, match="r2 came from other settings")
    folder = FakeFolder()
    fold_records(records, tmp_path, once, load=folder.load)
    assert folder.folded == [["r1"], ["r2"]]
    assert len({line["settings_id"] for line in lines_of(tmp_path)}) == 1


def test_failure_under_overwrite_leaves_no_old_result(tmp_path):
    fold_records(make_records(4), tmp_path, load=FakeFolder().load)
    once = RunOptions(num_recycles=1, overwrite=True)
    fold_records(make_records(4), tmp_path, once, load=FakeFolder(before=boom("r0")).load)
    assert not list(tmp_path.glob("r0*"))
    assert by_id(tmp_path)["r0"]["status"] == "failed"


def test_same_id_with_another_sequence_is_refused(tmp_path):
    fold_records(make_records(4), tmp_path, load=FakeFolder().load)
    other = make_records(6)
    text = refused(other, tmp_path)
    assert "'r0'" in text and "4 residues there, 6 now" in text
    assert fold_records(other, tmp_path, RunOptions(overwrite=True), load=FakeFolder().load).folded == ["r0"]
    assert json.loads((tmp_path / "r0.scores.json").read_text())["length"] == 6


def test_id_that_differs_in_case_only_is_refused(tmp_path):
    fold_records(make_records(4), tmp_path, load=FakeFolder().load)
    refused(make_records(4, prefix="R"), tmp_path, match="upper and lower case")


def test_foreign_files_are_not_overwritten_unasked(tmp_path):
    (tmp_path / "r0.pdb").write_text("mine")
    (tmp_path / "notes.txt").write_text("mine")
    refused(make_records(4), tmp_path, match=r"r0\.pdb would be overwritten")
    fold_records(make_records(4, prefix="other"), tmp_path, load=FakeFolder().load)
    assert (tmp_path / "notes.txt").read_text() == (tmp_path / "r0.pdb").read_text() == "mine"


def test_overwrite_takes_foreign_files_but_never_a_foreign_config(tmp_path):
    (tmp_path / "r0.pdb").write_text("mine")
    fold_records(make_records(4), tmp_path, RunOptions(overwrite=True), load=FakeFolder().load)
    assert (tmp_path / "r0.pdb").read_text() != "mine"
    (tmp_path / "config.json").write_text('{"architectures": ["EsmForProteinFolding"]}')
    refused(make_records(4), tmp_path, RunOptions(overwrite=True), match="not from lowmem-fold")


def test_place_that_is_no_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="is a file"):
            fold_records(make_records(4), out, load=FakeFolder().load)


def test_what_pdb_cannot_hold_is_refused_before_folding(tmp_path):
    records = make_records(4, 10_000)
    folder = FakeFolder()
    with pytest.raises(InputError, match=r"r1: .*--format cif"):
        fold_records(records, tmp_path / "out", load=folder.load)
    assert not folder.folded and not (tmp_path / "out").exists()


def test_second_run_in_one_folder_is_refused(tmp_path):
    def second(record):
        refused(make_records(4), tmp_path, match=f"another run \\(process {os.getpid()}\\)")

    fold_records(make_records(4), tmp_path, load=FakeFolder(before=second).load)
    assert by_id(tmp_path)["r0"]["status"] == "ok"


# Order and batches


def test_order_is_that_of_the_input(tmp_path):
    folder = FakeFolder()
    fold_records(make_records(9, 3, 6), tmp_path, load=folder.load)
    assert folder.folded == [["r0"], ["r1"], ["r2"]]


def test_batches(tmp_path):
    folder = FakeFolder()
    fold_records(make_records(9, 3, 4, 30), tmp_path, RunOptions(max_tokens_per_batch=15), load=folder.load)
    assert folder.folded == [["r1", "r2"], ["r0"], ["r3"]]
    assert by_id(tmp_path)["r2"]["batch_records"] == 2


def test_failed_batch_is_folded_one_by_one(tmp_path):
    def fail(records):
        raise MemoryError("too much")

    folder = FakeFolder(before=boom("r1"), before_batch=fail)
    summary = fold_records(make_records(4, 4, 4), tmp_path, RunOptions(max_tokens_per_batch=20), load=folder.load)
    assert (summary.folded, summary.failed) == (["r0", "r2"], ["r1"])
    assert len(by_id(tmp_path)) == 3


# Interruption


@pytest.mark.parametrize("where", ["before", "table"], ids=["folding", "between-files-and-table"])
def test_interruption_loses_the_record_in_flight_only(tmp_path, monkeypatch, where):
    records = make_records(4, 5, 6)

    def stop(*arguments):
        raise KeyboardInterrupt

    class StopAfterFirst(SilentProgress):
        def finished(self, record, line):
            if where == "table":
                monkeypatch.setattr("lowmem_fold.run.table.ScoreTable.put", stop)

    folder = FakeFolder(before=lambda record: stop() if (where, record.id) == ("before", "r1") else None)
    with pytest.raises(KeyboardInterrupt):
        fold_records(records, tmp_path, load=folder.load, progress=StopAfterFirst())
    monkeypatch.undo()
    assert not [name for name in names(tmp_path) if name.startswith(".")]
    folder = FakeFolder()
    fold_records(records, tmp_path, load=folder.load)
    assert folder.folded == ([["r1"], ["r2"]] if where == "before" else [["r2"]])
    assert len(by_id(tmp_path)) == 3


def _write_fasta(path: Path, number: int) -> None:
    records = make_records(*range(10, 10 + number))
    path.write_text("".join(f">{record.id}\n{record.sequence}\n" for record in records))


def _start(tmp_path: Path, seconds: float, most: int) -> subprocess.Popen[str]:
    arguments = [tmp_path / "in.fasta", tmp_path / "out", seconds, most]
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _wait_for_lines(out: Path, number: int, process: subprocess.Popen[str]) -> None:
    while process.poll() is None:
        if (out / "scores.jsonl").exists() and (out / "scores.jsonl").read_bytes().count(b"\n") >= number:
            return
        time.sleep(0.002)
    raise AssertionError(f"the run is over: {process.communicate()}")


def _die_at(operation: int) -> None:
    """Let the process end as by SIGKILL at its nth change of the file system; a write is then half done."""
    count = 0

    def dying(name):
        real = getattr(os, name)

        def wrapper(*arguments, **keywords):
            nonlocal count
            count += 1
            if count == operation:
                if name == "write":
                    real(arguments[0], arguments[1][: len(arguments[1]) // 2])
                os._exit(9)
            return real(*arguments, **keywords)

        return wrapper

    for name in ("replace", "unlink", "write", "mkdir", "rmdir"):
        setattr(os, name, dying(name))


def _run_in_child(fold, operation: int) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork beside the threads of numpy's BLAS, which sleep
        child = os.fork()
    if child == 0:
        try:
            _die_at(operation)
            fold()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _consistent(out: Path, records) -> None:
    """Each record once, and all its files from one fold, which its pLDDT tells."""
    table = by_id(out)
    assert set(table) == {record.id for record in records}
    assert (out / "scores.csv").read_text() == csv_text(lines_of(out))
    for record in records:
        line, scores = table[record.id], json.loads((out / f"{record.id}.scores.json").read_text())
        assert line["status"] == "ok"
        assert {key: scores[key] for key in line} == line
        plddt = np.array(scores["plddt"], np.float32)
        assert (out / f"{record.id}.pdb").read_text() == helix(record, plddt=plddt).to_pdb()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(
    "before", [None, 3, 1], ids=["new-records", "overwrite-other-settings", "overwrite-same-settings"]
)
def test_run_killed_at_any_change_of_the_file_system_is_resumed_whole(tmp_path, before):
    records = make_records(4, 5) if before is None else make_records(4)
    options = RunOptions(num_recycles=1, format="both", overwrite=before is not None)
    changes = {record.id: {"plddt": np.full(record.length, 20.25, np.float32)} for record in records}
    for operation in range(1, 100):
        out = tmp_path / str(operation)
        if before is not None:
            fold_records(records, out, RunOptions(num_recycles=before, format="both"), load=FakeFolder().load)
        folder = FakeFolder(changes=changes)
        code = _run_in_child(
            lambda out=out, load=folder.load: fold_records(records, out, options, load=load), operation
        )
        begun = before is None or json.loads((out / "config.json").read_text())["settings"]["num_recycles"] == 1
        fold_records(records, out, replace(options, overwrite=not begun), load=FakeFolder().load)
        _consistent(out, records)
        assert len({line["settings_id"] for line in lines_of(out)}) == 1
        assert len(names(out)) == 3 * len(records) + 4
        if code == 0:
            break
        assert code == 9
    assert operation > 12  # so many changes were tried


def test_run_killed_twice_is_resumed_whole(tmp_path):
    _write_fasta(tmp_path / "in.fasta", 20)
    out = tmp_path / "out"
    delay = random.Random()
    for least in (4, 10):
        process = _start(tmp_path, 0.03, 8)
        try:
            _wait_for_lines(out, least, process)
            time.sleep(delay.uniform(0, 0.1))
        finally:
            process.kill()
            process.communicate()
        assert process.returncode == -signal.SIGKILL
    last = _start(tmp_path, 0, 20)
    output, errors = last.communicate(timeout=600)
    assert last.returncode == 0, errors
    _consistent(out, make_records(*range(10, 30)))
    assert list(by_id(out)) == [f"r{i}" for i in range(20)]
    assert len(output.splitlines()) <= 10  # the others were finished before
    assert len(names(out)) == 2 * 20 + 4


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_signal_ends_the_run_and_nothing_is_torn(tmp_path, name):
    _write_fasta(tmp_path / "in.fasta", 20)
    process = _start(tmp_path, 0.05, 10)
    try:
        _wait_for_lines(tmp_path / "out", 3, process)
        process.send_signal(getattr(signal, name))
        _, errors = process.communicate(timeout=600)
    finally:
        process.kill()
    assert name in errors
    done = by_id(tmp_path / "out")
    assert 3 <= len(done) < 20
    assert len(names(tmp_path / "out")) == 2 * len(done) + 4
    assert (tmp_path / "out" / "scores.csv").read_text() == csv_text(lines_of(tmp_path / "out"))
    assert f"stopped by {name}" in (tmp_path / "out" / "lowmem_fold.log").read_text()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"id": "../evil"}, r"id '\.\./evil' cannot be the name of a file"),
        ({"chains": ("ACGT" * 5,)}, "r0: looks like DNA or RNA"),
    ],
    ids=["id", "nucleotides"],
)
def test_records_made_by_hand_are_checked_before_the_model_is_loaded(tmp_path, changes, named):
    records = [replace(make_records(4)[0], source="", **changes)]
    folder = FakeFolder()
    with pytest.raises(InputError, match=named):
        fold_records(records, tmp_path / "out", load=folder.load)
    assert not folder.keywords and not (tmp_path / "out").exists()


def test_letters_of_nucleotides_are_folded_where_they_are_allowed(tmp_path):
    records = [replace(make_records(20)[0], chains=("ACGT" * 5,))]
    options = RunOptions(allow_nucleotide_letters=True)
    assert fold_records(records, tmp_path, options, load=FakeFolder().load).folded == [records[0].id]
    assert json.loads((tmp_path / "config.json").read_text())["options"]["allow_nucleotide_letters"] is True


def test_run_ends_where_the_device_no_longer_answers(tmp_path, monkeypatch):
    """Every later record would fail as well; the same command resumes in a process of its own."""
    failing = []

    def check(device: str) -> None:
        if failing:
            raise DeviceFailedError(f"{device} no longer works in this process (RuntimeError: CUDA error: made up)")

    def before(record):
        if record.id == "r1":
            failing.append(record)
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(batch_fold, "check_device", check)
    with pytest.raises(DeviceFailedError, match="no longer works"):
        fold_records(make_records(4, 5, 6), tmp_path, load=FakeFolder(before=before).load)
    assert list(by_id(tmp_path)) == ["r0"]
    assert "stopped: cpu no longer works" in (tmp_path / "lowmem_fold.log").read_text()
    failing.clear()
    monkeypatch.undo()
    assert fold_records(make_records(4, 5, 6), tmp_path, load=FakeFolder().load).folded == ["r1", "r2"]
