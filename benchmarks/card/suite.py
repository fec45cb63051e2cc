"""The tests marked `gpu`, a file in a process of its own: a record for each test, as soon as it is over."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.outcomes import OutcomeRecorder
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
    return int(pytest.main([*options, name], plugins=[OutcomeRecorder(BENCHMARK, name, append)]))
