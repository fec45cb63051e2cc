"""Break the modules that decide numbers, one place at a time, and see whether the tests that mirror them notice.

    pip install cosmic-ray
    git worktree add ../mutants && cd ../mutants      # it changes files, and puts them back
    python -m benchmarks.mutation --mutants 150 --seed 1 --out mutation.jsonl
    python -m benchmarks.mutation ... --share 1/2     # every second; beside it, in another worktree, --share 2/2
    python -m benchmarks.mutation ... --only 7 25     # survivors again, once there are tests for them

A place is drawn from those where cosmic-ray can change something, all alike, and then one of its changes. Left out are
the alternatives of types (`X | None`), which nothing runs. Each record tells the change, the tests, and whether it was
noticed ("ok": killed) or not ("failed": it survived, so that something may be untested).
"""

from __future__ import annotations

import argparse
import os
import random
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lowmem_fold.bench.environment import describe_environment
from lowmem_fold.bench.records import Measurement, append_measurement

ROOT = Path(__file__).parent.parent
MIRRORS = {
    "esmfold": ["tests/esmfold/test_fidelity.py", "tests/esmfold/test_heads.py"],
    "pair": ["tests/esmfold/test_fidelity.py", "tests/pair"],
    "planning": ["tests/planning/test_plan.py", "tests/planning/test_calibration.py"],
    "quantization": ["tests/quantization"],
    "metrics": ["tests/test_metrics.py"],
    "predictions": ["tests/predictions/test_files.py"],
}
"""Packages of lowmem_fold that decide numbers, and the tests of modules without a file of their own."""
LIMIT_SECONDS = 900
OPTIONS = ("-x", "-q", "-p", "no:cacheprovider", "-m", "not more and not soak and not gpu")
LEFT_OUT = ("core/ReplaceBinaryOperator_BitOr",)


def drawn(seed: int, count: int) -> list[Any]:
    """So many mutations, as cosmic-ray specifies them, in the order drawn."""
    from cosmic_ray.commands.init import _all_work_items

    places: dict[tuple, list[Any]] = {}
    paths = sorted(path for name in MIRRORS for path in (Path("lowmem_fold") / name).rglob("*.py"))
    for item in _all_work_items(paths, {}):
        (mutation,) = item.mutations
        if not mutation.operator_name.startswith(LEFT_OUT):
            places.setdefault((mutation.module_path, mutation.start_pos, mutation.end_pos), []).append(mutation)
    generator = random.Random(seed)
    return [generator.choice(places[place]) for place in generator.sample(sorted(places), count)]


def tests_of(module: Path) -> str:
    """Return the command that runs the tests that mirror a module: the file of its name, where there is one."""
    own = Path("tests") / module.parts[1] / f"test_{module.stem}.py"
    files = [str(own)] if own.exists() else MIRRORS[module.parts[1]]
    return shlex.join([sys.executable, "-m", "pytest", *OPTIONS, *files])


def measure(seed: int, count: int, is_wanted: Callable[[int], bool]) -> Iterator[Measurement]:
    """Yield the record of each mutant whose number is wanted."""
    from cosmic_ray.mutating import mutate_and_test
    from cosmic_ray.work_item import TestOutcome

    check_unbroken()
    environment = describe_environment()
    for number, mutation in enumerate(drawn(seed, count)):
        if not is_wanted(number):
            continue
        command, start = tests_of(Path(mutation.module_path)), time.monotonic()
        result = mutate_and_test([mutation], command, LIMIT_SECONDS)
        survived = result.test_outcome == TestOutcome.SURVIVED
        asked = {"seed": seed, "number": number, "module": str(mutation.module_path), "line": mutation.start_pos[0]}
        about = {"operator": mutation.operator_name, "command": command.partition(" ")[2], "diff": result.diff}
        yield Measurement(
            "mutation",
            asked,
            {**about, "outcome": str(result.test_outcome)},
            environment,
            {"seconds": [round(time.monotonic() - start, 1)]},
            "failed" if survived else "ok",
            "no test notices" if survived else None,
        )
    check_unbroken()  # or what was noticed was something else


def check_unbroken() -> None:
    """Raise where tests fail though nothing is changed."""
    files = [file for files in MIRRORS.values() for file in files]
    subprocess.run([sys.executable, "-m", "pytest", *OPTIONS, *files], check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=150)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--share", default="1/1", help="part of the mutants, such as 1/2")
    parser.add_argument("--only", nargs="+", type=int, help="numbers of mutants, in place of a share")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    out = options.out.absolute()
    os.chdir(ROOT)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    part, parts = map(int, options.share.split("/"))

    def is_wanted(number: int) -> bool:
        return number in options.only if options.only else number % parts == part - 1

    for record in measure(options.seed, options.mutants, is_wanted):
        append_measurement(out, record)
        asked, seconds = record.requested, record.samples["seconds"][0]
        print(f"{asked['number']:4} {record.status:6} {seconds:6.1f} s  {asked['module']}:{asked['line']}", flush=True)


if __name__ == "__main__":
    main()
