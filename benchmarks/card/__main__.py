"""What a few minutes on a GPU can show of lowmem_fold, in one command.

    python -m benchmarks.card --out DIR --seconds 330                      # a first run: most evidence first
    python -m benchmarks.card --out DIR --seconds 180 --only tests streams # then what matters
    python -m benchmarks.card --out DIR --device cpu --quick               # that every step runs, without a GPU

Each step is a process of its own with a limit of its own, and what it finds is appended to DIR/records.jsonl at once:
a step that hangs, is killed or leaves the device broken costs itself alone. What the steps print is in DIR/log.txt.

Needed: torch, transformers, accelerate, safetensors, numpy, tqdm, and pytest and scipy for the tests; of a checkout
nothing has to be installed. No weights, no network.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections import Counter
from multiprocessing.context import BaseContext
from pathlib import Path

from lowmem_fold.bench.records import Measurement, append_measurement, read_measurements

from .jobs import STEPS, Job, chosen_jobs, summary

ROOT = Path(__file__).parents[2]
RECORDS, LOG = "records.jsonl", "log.txt"
LOG_BYTES = 12 * 2**20
"""Of the log; what a step prints beyond it is cut off."""
START_SECONDS = 5.0
"""With less than this left no step begins."""
TOLD_CHARACTERS = 9000
"""Of the lines of records that are printed at the end."""
# What the steps import, once for all of them: each is forked from a process that has done so, and in which nothing
# has touched the device.
PRELOADED = [
    "benchmarks.card.work",
    "transformers.models.esm.modeling_esmfold",
    "lowmem_fold.folder",
    "lowmem_fold.bench.environment",
    "pytest",
    *(f"benchmarks.card.{step}" for step in STEPS if step != "tests"),
]


def main(arguments: list[str] | None = None) -> int:
    options = _options(arguments)
    end = time.monotonic() + options.seconds
    out = options.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    os.chdir(ROOT)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the model in main memory goes too
    from .model import scratch_folder

    before = _count_lines(out / RECORDS)
    with scratch_folder(options.quick) as scratch:
        os.environ |= {"HF_HUB_OFFLINE": "1", "LOWMEM_FOLD_CACHE": str(scratch / "cache")}
        done = _run_all(options, out, scratch, end)
    _tell(out, before, done)
    return 0 if set(done.values()) == {"ok"} else 1


def _options(arguments: list[str] | None) -> argparse.Namespace:
    doc = __doc__ or ""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.card", description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of records.jsonl and log.txt")
    parser.add_argument("--seconds", type=float, default=330, help="of the whole run [%(default)s]")
    parser.add_argument("--only", nargs="+", choices=STEPS, default=list(STEPS), metavar="STEP", help=", ".join(STEPS))
    parser.add_argument("--device", default="cuda", help="[%(default)s]")
    parser.add_argument("--quick", action="store_true", help="one short length: that every step runs")
    return parser.parse_args(arguments)


def _run_all(options: argparse.Namespace, out: Path, scratch: Path, end: float) -> dict[Job, str]:
    """What became of each job: "ok", "failed", "timeout", "no time left"."""
    context = _context()
    from .work import idle, work

    first = context.Process(target=idle)  # which waits for the imports, so that no step does
    first.start()
    first.join()
    share = options.seconds / sum(STEPS[step] for step in options.only)
    ends: dict[str, float] = {}
    done: dict[Job, str] = {}
    for job in chosen_jobs(options.only):
        limit = STEPS[job.step] * max(1.0, share)
        until = min(ends.setdefault(job.step, time.monotonic() + limit), end)
        left = until - time.monotonic()
        if left < START_SECONDS:
            done[job] = "no time left"
            continue
        given = (job, options.device, options.quick, str(scratch), str(out / RECORDS), str(out / LOG))
        start = time.monotonic()
        done[job], reason = _finished(context, work, given, left)
        _cut(out / LOG)
        print(f"{time.monotonic() - start:6.1f} s  {job}: {done[job]}{f', {reason}' if reason else ''}", flush=True)
        if done[job] == "timeout" or (reason and job.file is None):
            asked = {"device": options.device, "step": str(job)}
            status = "timeout" if done[job] == "timeout" else "failed"
            append_measurement(out / RECORDS, Measurement("card-step", asked, {}, {}, {}, status, reason))
    return done


def _context() -> BaseContext:
    """Where processes cannot be forked, each imports for itself."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def _finished(context: BaseContext, work: object, given: tuple, limit: float) -> tuple[str, str | None]:
    """Wait for a job's process; outcome, and what to say of it."""
    process = context.Process(target=work, args=given)  # type: ignore[attr-defined]
    process.start()
    try:
        process.join(limit)
    except BaseException:  # Ctrl-C, SIGTERM: the session of its own gets neither
        _kill(process.pid)
        raise
    if process.exitcode is None:
        _kill(process.pid)
        process.join()
        return "timeout", f"not done after {limit:.0f} s"
    if process.exitcode < 0:
        _kill(process.pid)  # what it may have started
        return "failed", f"killed by signal {-process.exitcode}"
    return ("ok", None) if process.exitcode == 0 else ("failed", f"exit code {process.exitcode}, see {LOG}")


def _kill(pid: int) -> None:
    """The process, and all of its session, which is its own."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _cut(log: Path) -> None:
    if log.exists() and log.stat().st_size > LOG_BYTES:
        os.truncate(log, LOG_BYTES)


def _count_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _tell(out: Path, before: int, done: dict[Job, str]) -> None:
    """The records of this run, a line each, as far as they fit, and what became of the steps."""
    try:
        found = read_measurements(out / RECORDS)[before:]
    except Exception:  # a record cut short by a kill: it is all in the file
        traceback.print_exc()
        return
    tests = Counter(each.status for each in found if each.benchmark == "card-tests")
    lines = [summary(each) for each in found if each.benchmark != "card-tests" or each.status == "failed"]
    text = "\n".join(lines)
    print(text if len(text) <= TOLD_CHARACTERS else f"{text[:TOLD_CHARACTERS]}\n(more in {RECORDS})")
    if tests:
        print(f"tests: {tests['ok']} passed, {tests['failed']} failed, {tests['refused']} skipped")
    print(f"{len(found)} records in {out / RECORDS}; jobs: {dict(Counter(done.values()))}")


if __name__ == "__main__":
    sys.exit(main())
