"""Run the tests that take minutes to hours, and keep what became of each: `make soak`, or `python -m benchmarks.soak`

    python -m benchmarks.soak -k "fault or allocate"    # a part, by pytest's expression

Those marked `soak`: a fault at every request for memory, the ledger beside the allocator at full size. Each outcome is
appended to `results/soak.jsonl` as soon as it is there (benchmark "soak": the test, its seconds, "ok" or why not).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from lowmem_fold.bench.records import append_measurement

from .outcomes import OutcomeRecorder

RESULTS = Path(__file__).parent / "results" / "soak.jsonl"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, prog="python -m benchmarks.soak"
    )
    parser.add_argument("-k", metavar="EXPRESSION", default="", help="a part of them, as of pytest")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file of the records [%(default)s]")
    options = parser.parse_args()
    out = options.out.absolute()
    recorder = OutcomeRecorder("soak", "tests", lambda record: append_measurement(out, record))
    # One at a time: what is measured is memory.
    return int(pytest.main(["-m", "soak", "-k", options.k, "-v", "--durations=0"], plugins=[recorder]))


if __name__ == "__main__":
    raise SystemExit(main())
