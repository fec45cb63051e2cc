from __future__ import annotations

import json
import multiprocessing
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lowmem_fold.bench.records import STATUSES, Measurement, append_measurement, read_measurements
from lowmem_fold.errors import InputError


def measurement(**changes: object) -> Measurement:
    first = Measurement(
        benchmark="trunk-pass",
        requested={"length": 256, "chunk_size": None},
        resolved={"chunk_size": 64, "model": "random weights", "note": 'ü "quoted"\nand a second line'},
        environment={"cpu": {"model": "of a test", "cores": 2}},
        samples={"seconds": [1.25, 0.1 + 0.2], "peak_bytes": [2**53 + 1]},
    )
    return replace(first, **changes)  # type: ignore[arg-type]


def test_records_come_back_as_they_went(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "results.jsonl"
    written = [measurement(), measurement(status="oom", reason="CUDA out of memory", samples={})]
    for each in written:
        append_measurement(path, each)
    assert read_measurements(path) == written
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2, "one line a record, whatever its texts hold"
    plain = json.loads(lines[0])
    assert plain["samples"]["peak_bytes"] == [9007199254740993], "an integer that float64 cannot hold"
    assert (plain["schema_version"], plain["status"], plain["reason"]) == (1, "ok", None)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", plain["time"])


def _append_many(path: Path, writer: int, barrier: multiprocessing.synchronize.Barrier) -> None:
    barrier.wait()
    for number in range(50):
        text = str(writer) * (10 + 397 * number)  # up to several pages of memory
        append_measurement(path, measurement(requested={"writer": writer, "number": number, "text": text}))


def test_lines_of_several_processes_stay_whole(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(4)
    writers = [context.Process(target=_append_many, args=(path, writer, barrier)) for writer in range(4)]
    for process in writers:
        process.start()
    for process in writers:
        process.join()
    assert [process.exitcode for process in writers] == [0] * 4
    found = [each.requested for each in read_measurements(path)]
    assert sorted((each["writer"], each["number"]) for each in found) == [(w, n) for w in range(4) for n in range(50)]
    assert all(each["text"] == str(each["writer"]) * (10 + 397 * each["number"]) for each in found)
    of_writer = [each["number"] for each in found if each["writer"] == 0]
    assert of_writer == sorted(of_writer)


def test_a_torn_last_line_is_named_and_the_next_record_stays_whole(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    append_measurement(path, measurement())
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"results\.jsonl, line 2: the last record is cut short"):
        read_measurements(path)
    append_measurement(path, measurement(benchmark="after"))
    with pytest.raises(InputError, match=r"results\.jsonl, line 2: not a record"):
        read_measurements(path)
    first, _, last = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + b"\n" + last)
    assert [each.benchmark for each in read_measurements(path)] == ["trunk-pass", "after"]


def test_a_whole_record_without_its_line_end_is_torn_too(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    append_measurement(path, measurement())
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="line 1: the last record is cut short"):
        read_measurements(path)


GOOD = json.loads(measurement().to_line())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "Expecting property name"),
        (b"[1, 2]", "not a JSON object"),
        (b"\xff\xfe", "codec can't decode"),
        (json.dumps({"benchmark": "x"}).encode(), "without environment, reason"),
        (json.dumps(GOOD | {"mean": 3}).encode(), "with unknown mean"),
        (json.dumps(GOOD | {"schema_version": 2}).encode(), "schema_version is 2, this version reads 1"),
        (json.dumps(GOOD | {"status": "fine"}).encode(), "status is 'fine', not one of ok, oom"),
        (json.dumps(GOOD | {"samples": [1]}).encode(), "not a record"),
        (json.dumps(GOOD | {"samples": {"seconds": 1}}).encode(), "not a record"),
    ],
    ids=["cut", "list", "bytes", "missing-keys", "unknown-key", "schema", "status", "samples", "single-sample"],
)
def test_a_bad_record_is_named_by_file_and_line(tmp_path: Path, line: bytes, message: str) -> None:
    path = tmp_path / "results.jsonl"
    good = measurement().to_line().encode()
    path.write_bytes(b"\n".join([good, b"", line, good, b""]))
    with pytest.raises(InputError, match=r"results\.jsonl, line 3: ") as caught:
        read_measurements(path)
    assert message in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.jsonl: cannot be read: No such file"):
        read_measurements(tmp_path / "absent.jsonl")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"status": "slow", "reason": "x"}, "not one of ok, oom, refused, timeout, failed"),
        ({"status": "oom"}, "every status but 'ok' has a reason"),
        ({"reason": "x"}, "every status but 'ok' has a reason"),
        ({"samples": {"peak_bytes": [1.5e9]}}, "not an integer number of bytes"),
        ({"samples": {"seconds": [float("nan")]}}, "not a finite number"),
        ({"samples": {"seconds": [None]}}, "not a finite number"),
        ({"samples": {"seconds": [True]}}, "not a finite number"),
    ],
    ids=["status", "no-reason", "reason-of-ok", "float-bytes", "nan", "none", "bool"],
)
def test_what_breaks_the_rules_is_never_made(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measurement(**changes)


@pytest.mark.parametrize("status", STATUSES[1:])
def test_every_failure_is_a_result(tmp_path: Path, status: str) -> None:
    append_measurement(tmp_path / "results.jsonl", measurement(status=status, reason="why", samples={}))
    (found,) = read_measurements(tmp_path / "results.jsonl")
    assert (found.status, found.reason) == (status, "why")


@pytest.mark.parametrize("value", [np.float32(1), Path("x"), float("inf")], ids=["numpy", "path", "infinite"])
def test_what_json_cannot_hold_leaves_the_file_alone(tmp_path: Path, value: object) -> None:
    path = tmp_path / "results.jsonl"
    append_measurement(path, measurement())
    before = path.read_bytes()
    with pytest.raises(ValueError):
        append_measurement(path, measurement(resolved={"value": value}))
    assert path.read_bytes() == before


def test_a_line_that_could_not_be_written_whole_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole_write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: whole_write(file, data[:10]))
    with pytest.raises(OSError, match=r"results\.jsonl: only 10 of the \d+ bytes"):
        append_measurement(tmp_path / "results.jsonl", measurement())
