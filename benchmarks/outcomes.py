"""What becomes of tests, as records: a plugin of pytest for runs whose outcome is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lowmem_fold.bench.environment import describe_environment
from lowmem_fold.bench.records import Measurement

__all__ = ["OutcomeRecorder"]

_REASON_CHARACTERS = 500


class OutcomeRecorder:
    """Makes a record of each test as soon as it is over, and of a file that cannot be collected.

    Its status is "ok" of one that passed, "refused" of one that was skipped, else "failed".

    Parameters
    ----------
    benchmark : str
        Of the records.
    name : str
        What is said to be tested where pytest names nothing.
    append : callable
        Takes each record.
    """

    def __init__(self, benchmark: str, name: str, append: Callable[[Measurement], object]) -> None:
        self._benchmark, self._name, self._append = benchmark, name, append
        self._environment = describe_environment()

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if not report.passed:
            self._record(report, report.nodeid or self._name, {})

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or not report.passed:  # of set-up and tear-down only what went wrong
            self._record(report, report.nodeid, {"seconds": [round(report.duration, 3)]})

    def _record(self, report: Any, test: str, samples: dict[str, list[float]]) -> None:
        status = {"passed": "ok", "skipped": "refused"}.get(report.outcome, "failed")
        reason = None if status == "ok" else _reason(report)
        asked = {"test": test, "when": getattr(report, "when", "collect")}
        self._append(Measurement(self._benchmark, asked, {}, self._environment, samples, status, reason))


def _reason(report: Any) -> str:
    if report.outcome == "skipped":
        return str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(crash.message if crash is not None else report.longrepr)[:_REASON_CHARACTERS] or "no reason given"
