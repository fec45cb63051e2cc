"""What the process of a job does: apart from `__main__`, so that it is forked without the command's own state."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .jobs import Job

__all__ = ["idle", "work"]


def idle() -> None:
    """Do nothing, in a process of its own: once it is over, the server that it was forked from has its imports."""


def work(job: Job, device: str, quick: bool, scratch: str, records: str, log: str) -> None:
    """Do a job in a session of its own, its output appended to the log, and leave without any more ado."""
    if hasattr(os, "setsid"):
        os.setsid()
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    print(f"=== {job}", flush=True)
    import torch

    from .card import Card
    from .jobs import run_job

    code = run_job(job, Card(torch.device(device), quick, Path(scratch)), records)
    sys.stdout.flush()
    # pytest has no test to run where all of a file need a device that is not here.
    os._exit(0 if code in (0, 5) else 1)
