"""What the processes of a test do: importable by name, since a process that is forked apart gets no closures."""

from __future__ import annotations

import os
import signal
import time


def fine() -> None:
    """Ends by itself."""


def breaks() -> None:
    raise SystemExit(3)


def dies() -> None:
    os.setsid()
    os.kill(os.getpid(), signal.SIGSEGV)


def hangs(file: str) -> None:
    """Starts a child that hangs too, whose number is written to the file."""
    os.setsid()
    child = os.fork()
    if child == 0:
        time.sleep(600)
    with open(file, "w") as stream:
        stream.write(str(child))
    time.sleep(600)
