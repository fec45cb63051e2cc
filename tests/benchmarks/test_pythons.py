"""What is counted of a run of the suite."""

from __future__ import annotations

import pytest

from benchmarks.pythons import WHOLE, summarize_run
from lowmem_fold.bench.records import Measurement


def outcome(test: str, status: str = "ok", reason: str | None = None) -> Measurement:
    return Measurement("pythons", {"test": test, "when": "call"}, {}, {}, {}, status, reason)


ENVIRONMENT = {"versions": {"python": "3.13.0"}}
PASSED = outcome("a")
SKIPPED = [outcome("b", "refused", "Skipped: no card"), outcome("c", "refused", "Skipped: no card")]
TORN_DOWN_BADLY = [outcome("d"), outcome("d", "failed", "it broke")]


def test_each_test_counts_once() -> None:
    record = summarize_run(WHOLE, ENVIRONMENT, [PASSED, *SKIPPED, *TORN_DOWN_BADLY], 12.34, 1)
    counts = {name: values for name, values in record.samples.items() if name != "seconds"}
    assert counts == {"passed_tests": [1], "skipped_tests": [2], "failed_tests": [1]}
    assert record.resolved == {"skipped": {"no card": 2}, "failed": ["d"]}
    assert (record.status, record.reason) == ("failed", "1 of 4 tests failed")
    assert record.requested == {"marks": "not soak"} and record.environment == ENVIRONMENT


@pytest.mark.parametrize(("code", "status"), [(0, "ok"), (2, "failed")])
def test_an_interrupted_run_is_not_ok(code: int, status: str) -> None:
    assert summarize_run(WHOLE, ENVIRONMENT, [PASSED, *SKIPPED], 1.0, code).status == status
