"""The tests marked `gpu`, a file in a process of its own: a record for each test, as soon as it is over."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lowmem_fold.bench.environment import describe_environment
from lowmem_fold.bench.records import Measurement

__all__ = ["BENCHMARK", "gpu_test_files", "run_file"]

BENCHMARK = "card-tests"
SLOW = ("backbones", "planning", "periodic")
"""Files with one of these in their path come last."""
_TESTS = Path(__file__).parents[2] / "tests"


def gpu_test_files() -> list[str]:
    """Paths below the repository's root of the files with tests that need a CUDA device, the fast ones first."""
    files = [path for path in _TESTS.rglob("test_*.py") if "mark.gpu" in path.read_text()]
    names = [path.relative_to(_TESTS.parent).as_posix() for path in files]
    return sorted(names, key=lambda name: (any(slow in name for slow in SLOW), name))


def run_file(name: str, append: Callable[[Measurement], None]) -> int:
    """Run the tests marked `gpu` of one file in this process, whose folder is the repository's root; pytest's code."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # of a machine's many plugins the tests need none
    # Warnings of other versions of the libraries than those that the project pins are no errors here.
    options = ["-m", "gpu", "-v", "--tb=short", "-p", "no:cacheprovider", "-W", "default", "--durations=0"]
    return int(pytest.main([*options, name], plugins=[_Recorder(name, append)]))


class _Recorder:
    """A plugin of pytest that makes a record of each outcome."""

    def __init__(self, name: str, append: Callable[[Measurement], None]) -> None:
        self._name, self._append, self._environment = name, append, describe_environment()

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
        self._append(Measurement(BENCHMARK, asked, {}, self._environment, samples, status, reason))


def _reason(report: Any) -> str:
    if report.outcome == "skipped":
        return str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(crash.message if crash is not None else report.longrepr)[:500] or "no reason given"
