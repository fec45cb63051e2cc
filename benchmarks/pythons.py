"""Run the suite with the Python that runs this, and keep how many tests passed: `python -m benchmarks.pythons`

    make PYTHON=/path/to/python3.13 VENV=.venv-3.13 install
    .venv-3.13/bin/python -m benchmarks.pythons               # what `make test` and `make test-more` run
    .venv-3.13/bin/python -m benchmarks.pythons -n 1 -m more  # one process, a part, by pytest's expression

A run is a record in `results/pythons.jsonl` (benchmark "pythons"): the versions, how many tests passed, were skipped
and failed, the reasons of what was skipped with the number of tests of each, and the names of those that failed.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from lowmem_fold.bench.environment import describe_environment
from lowmem_fold.bench.records import Measurement, append_measurement

from .outcomes import OutcomeRecorder

RESULTS = Path(__file__).parent / "results" / "pythons.jsonl"
WHOLE = "not soak"
"""What `make test` and `make test-more` run together, as pytest's expression."""


def summarize_run(
    marks: str, environment: Mapping[str, Any], outcomes: Sequence[Measurement], seconds: float, exit_code: int
) -> Measurement:
    """Count what became of the tests of a run.

    Parameters
    ----------
    marks : str
        Which tests were asked for, as pytest's expression.
    environment : mapping
        As ``describe_environment`` gave it when the run began.
    outcomes : sequence of Measurement
        As ``OutcomeRecorder`` makes them: at least one for each test.
    seconds : float
        How long the run took.
    exit_code : int
        Of pytest: a run that was interrupted or found no test is not "ok" either.

    Returns
    -------
    Measurement
        A test counts once: as failed when anything of it failed, its tear-down included.
    """
    tests: dict[str, set[str]] = {}
    for outcome in outcomes:
        tests.setdefault(outcome.requested["test"], set()).add(outcome.status)
    failed = sorted(test for test, statuses in tests.items() if "failed" in statuses)
    skipped = {test for test, statuses in tests.items() if statuses == {"refused"}}
    reasons = Counter(
        (each.reason or "").removeprefix("Skipped: ") for each in outcomes if each.requested["test"] in skipped
    )
    reason = f"{len(failed)} of {len(tests)} tests failed" if failed else f"pytest ended with exit code {exit_code}"
    return Measurement(
        benchmark="pythons",
        requested={"marks": marks},
        resolved={"skipped": dict(reasons.most_common()), "failed": failed},
        environment=environment,
        samples={
            "passed_tests": [len(tests) - len(skipped) - len(failed)],
            "skipped_tests": [len(skipped)],
            "failed_tests": [len(failed)],
            "seconds": [round(seconds, 1)],
        },
        status="failed" if failed or exit_code else "ok",
        reason=reason if failed or exit_code else None,
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, prog="python -m benchmarks.pythons"
    )
    parser.add_argument("-m", metavar="EXPRESSION", default=WHOLE, help="which tests, as of pytest [%(default)s]")
    parser.add_argument("-n", metavar="PROCESSES", default="auto", help="as of pytest [%(default)s]")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file of the records [%(default)s]")
    options = parser.parse_args()
    out = options.out.absolute()
    outcomes: list[Measurement] = []
    environment = describe_environment()
    started = time.monotonic()
    arguments = ["-m", options.m, "-n", options.n, "--maxprocesses", "4", "--dist", "worksteal"]
    code = int(pytest.main(arguments, plugins=[OutcomeRecorder("pythons", "tests", outcomes.append)]))
    append_measurement(out, summarize_run(options.m, environment, outcomes, time.monotonic() - started, code))
    return code


if __name__ == "__main__":
    raise SystemExit(main())
