"""What becomes of tests is kept as records."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from benchmarks.outcomes import OutcomeRecorder
from lowmem_fold.bench.records import Measurement


@pytest.fixture
def found() -> list[Measurement]:
    return []


@pytest.fixture
def recorder(found: list[Measurement]) -> OutcomeRecorder:
    return OutcomeRecorder("soak", "tests", found.append)


def report(when: str, outcome: str, longrepr: object = None) -> SimpleNamespace:
    return SimpleNamespace(
        when=when,
        outcome=outcome,
        passed=outcome == "passed",
        nodeid="tests/x.py::y",
        duration=1.23456,
        longrepr=longrepr,
    )


def test_one_record_of_a_test_that_passes(recorder: OutcomeRecorder, found: list[Measurement]) -> None:
    for when in ("setup", "call", "teardown"):
        recorder.pytest_runtest_logreport(report(when, "passed"))
    (record,) = found
    assert (record.benchmark, record.status, record.samples) == ("soak", "ok", {"seconds": [1.235]})
    assert record.requested == {"test": "tests/x.py::y", "when": "call"} and record.environment["versions"]


@pytest.mark.parametrize(
    ("given", "status", "reason"),
    [
        (report("setup", "skipped", ("file", 3, "Skipped: no card")), "refused", "Skipped: no card"),
        (
            report("call", "failed", SimpleNamespace(reprcrash=SimpleNamespace(message="assert 1 == 2"))),
            "failed",
            "assert 1",
        ),
        (report("teardown", "failed", "it broke"), "failed", "it broke"),
        (report("call", "failed", ""), "failed", "no reason given"),
    ],
    ids=["skipped", "assertion", "teardown", "nothing said"],
)
def test_what_did_not_pass_has_its_reason(
    recorder: OutcomeRecorder, found: list[Measurement], given: SimpleNamespace, status: str, reason: str
) -> None:
    recorder.pytest_runtest_logreport(given)
    (record,) = found
    assert record.status == status and (record.reason or "").startswith(reason)


def test_a_file_that_cannot_be_collected_is_a_record(recorder: OutcomeRecorder, found: list[Measurement]) -> None:
    recorder.pytest_collectreport(SimpleNamespace(passed=True, nodeid=""))
    recorder.pytest_collectreport(SimpleNamespace(passed=False, nodeid="", outcome="failed", longrepr="no module"))
    (record,) = found
    assert record.requested == {"test": "tests", "when": "collect"} and record.reason == "no module"
