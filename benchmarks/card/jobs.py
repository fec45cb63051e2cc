"""The steps, in the order of what their evidence is worth, and how long each may take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

from lowmem_fold.bench.records import Measurement, append_measurement

from .card import Card
from .suite import gpu_test_files, run_file

__all__ = ["STEPS", "Job", "chosen_jobs", "run_job"]

STEPS = {
    "facts": 40,
    "demo": 70,
    "block": 100,
    "kernels": 60,
    "tiles": 70,
    "limit": 60,
    "whole": 130,
    "streams": 90,
    "tests": 150,
}
"""Seconds that a step may take at least, if the run has so many left."""


@dataclass(frozen=True)
class Job:
    """What a process of its own does: a step, or one file of tests.

    Attributes
    ----------
    step : str
        One of STEPS.
    file : str or None
        Of tests.
    """

    step: str
    file: str | None = None

    def __str__(self) -> str:
        return self.step if self.file is None else f"{self.step} {self.file}"


def chosen_jobs(steps: Sequence[str]) -> list[Job]:
    """Those of these steps, in the order of STEPS."""
    return [
        job
        for step in STEPS
        if step in steps
        for job in ([Job(step, file) for file in gpu_test_files()] if step == "tests" else [Job(step)])
    ]


def run_job(job: Job, card: Card, records: str) -> int:
    """Do it in this process, appending what is found to the file `records` at once; 0 unless a test fails."""

    def append(measurement: Measurement) -> None:
        append_measurement(records, measurement)
        print(summary(measurement), flush=True)

    if job.file is not None:
        return run_file(job.file, append)
    for measurement in import_module(f"benchmarks.card.{job.step}").run(card):
        append(measurement)
    return 0


def summary(measurement: Measurement) -> str:
    """One line for a reader of the log."""
    parts = [measurement.benchmark.removeprefix("card-"), *(f"{v}" for v in measurement.requested.values() if v)]
    if measurement.reason is not None:
        parts.append(f"{measurement.status.upper()}: {measurement.reason}")
    parts += [f"{name}={','.join(f'{v:.4g}' for v in values[:3])}" for name, values in measurement.samples.items()]
    return " ".join(parts)
