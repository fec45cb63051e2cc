"""Many configurations, each measured in a process of its own, into one file of records that a later sweep goes on with.

A configuration is skipped if the file holds what it came to (`ok`, `oom` or `refused`), asked for in the same words, of
the same model and version of this package. One whose outputs others are compared with is measured again where these
are gone.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..checkpoints.checkpoint import Checkpoint
from ..families.registry import find_folding_model
from ..run.stopping import StopSignals
from ..system.versions import package_version
from .configuration import Configuration
from .measure import BENCHMARK, timeout_reason
from .records import Measurement, append_measurement, read_measurements
from .references import LONGEST, reference_path

__all__ = ["SETTLED", "Sweep", "measured_apart"]

#: What need not be measured again: a time-out and a failure may end otherwise.
SETTLED = ("ok", "oom", "refused")

_CHILD = (sys.executable, "-m", "lowmem_fold.bench.measure")
_POLL_SECONDS = 0.5
_KILLED = -9
_GRACE_SECONDS = 5.0  # in which a process whose time is over writes what it has


def _silent(_: Any) -> None:
    """Tells nobody."""


@dataclass
class Sweep:
    """What is measured, where the records go, and whom it tells of its progress.

    Attributes
    ----------
    configurations : sequence of Configuration
        In the order in which they are measured, but for the references, which come first.
    path : Path
        JSONL, appended to; outputs to compare with are beside it, until all is measured.
    limit_seconds : float
        Each configuration is stopped after so long.
    begins : callable
        Called with each configuration before it is measured.
    waits : callable
        Called with the seconds since then, again and again.
    ended : callable
        Called with each record as it is written.
    child : sequence of str
        The command that measures.

    Raises
    ------
    InputError
        The file of records cannot be read.
    ModelError
        A model cannot be had.
    """

    configurations: Sequence[Configuration]
    path: Path
    limit_seconds: float
    begins: Callable[[Configuration], object] = _silent
    waits: Callable[[float], object] = _silent
    ended: Callable[[Measurement], object] = _silent
    child: Sequence[str] = _CHILD
    _checkpoints: dict[str, tuple[Checkpoint, str]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.configurations = sorted(dict.fromkeys(self.configurations), key=lambda each: not each.is_reference)
        for configuration in self.configurations:
            self._model(configuration)
        self._known = {_key(record): record for record in self._records() if record.status in SETTLED}

    def left(self) -> list[Configuration]:
        """What is to be measured yet."""
        unknown = {each for each in self.configurations if self._key(each) not in self._known}
        needed = {self._reference(each) for each in unknown if each.length <= LONGEST}
        again = {each for each in self.configurations if self._reference(each) in needed and self._outputs_gone(each)}
        return [each for each in self.configurations if each in unknown | again]

    def _outputs_gone(self, configuration: Configuration) -> bool:
        known = self._known.get(self._key(configuration))
        was_kept = known is not None and known.status == "ok" and configuration.is_reference
        return was_kept and not self._reference(configuration).exists()

    def run(self, stops: StopSignals | None = None) -> None:
        """Measure what is left. Whatever ends it, the file holds whole records."""
        held = stops or StopSignals()
        for configuration in self.left():
            self.begins(configuration)
            record = self._measured(configuration)
            with held.held():
                append_measurement(self.path, record)
                if record.status in SETTLED:
                    self._known[self._key(configuration)] = record
                self.ended(record)
        if not self.left():
            shutil.rmtree(self._references, ignore_errors=True)

    def records(self) -> list[Measurement]:
        """The latest of each configuration that the file holds, in the order in which they were asked for."""
        latest = {_key(record): record for record in self._records()}
        keys = [self._key(each) for each in self.configurations]
        return [latest[key] for key in keys if key in latest]

    def _measured(self, configuration: Configuration) -> Measurement:
        found = measured_apart(self.child, configuration, self._references, self.limit_seconds, self.waits)
        if isinstance(found, Measurement):
            return found
        from .environment import describe_environment

        checkpoint, fingerprint = self._model(configuration)
        resolved = {"model": checkpoint.short_name, "fingerprint": fingerprint}
        asked = configuration.recorded(checkpoint.short_name)
        return Measurement(BENCHMARK, asked, resolved, describe_environment(), {}, *found)

    def _records(self) -> Iterator[Measurement]:
        if self.path.exists():
            yield from (record for record in read_measurements(self.path) if record.benchmark == BENCHMARK)

    @property
    def _references(self) -> Path:
        return self.path.with_name(f"{self.path.name}.outputs")

    def _reference(self, configuration: Configuration) -> Path:
        return reference_path(self._references, configuration, self._model(configuration)[1])

    def _key(self, configuration: Configuration) -> str:
        checkpoint, fingerprint = self._model(configuration)
        return str((sorted(configuration.recorded(checkpoint.short_name).items()), fingerprint, package_version()))

    def _model(self, configuration: Configuration) -> tuple[Checkpoint, str]:
        name = configuration.model
        if name not in self._checkpoints:
            checkpoint = find_folding_model(name)[0]
            self._checkpoints[name] = checkpoint, checkpoint.fingerprint()
        return self._checkpoints[name]


def _key(record: Measurement) -> str:
    versions = record.environment.get("versions", {})
    return str((sorted(record.requested.items()), record.resolved.get("fingerprint"), versions.get("lowmem_fold")))


def measured_apart(
    child: Sequence[str],
    configuration: Configuration,
    references: Path,
    limit_seconds: float,
    waits: Callable[[float], object] = _silent,
) -> Measurement | tuple[str, str]:
    """The record that a process of its own writes; or status and reason of one that wrote none.

    Parameters
    ----------
    child : sequence of str
        Command that reads the configuration as JSON and writes the record's line.
    references : Path
        Folder of the outputs to compare with.
    limit_seconds : float
        After which it is stopped.
    """
    command = [*child, "--references", str(references), "--limit", str(limit_seconds)]
    # A session of its own: Ctrl-C is for this process, which ends the other one.
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    try:
        line, messages = _communicate(process, configuration.to_json(), limit_seconds + _GRACE_SECONDS, waits)
    except subprocess.TimeoutExpired:
        return "timeout", timeout_reason(limit_seconds)
    finally:
        _end(process)
    try:
        record = Measurement.from_line(line)
    except ValueError:
        return _why(process.returncode, messages)
    if record.status == "failed":
        print(messages, file=sys.stderr)  # its traceback, of which the record has a line
    return record


def _communicate(
    process: subprocess.Popen[str], text: str, limit_seconds: float, waits: Callable[[float], object]
) -> tuple[str, str]:
    start = time.monotonic()
    given: str | None = text
    while (waited := time.monotonic() - start) < limit_seconds:
        waits(waited)
        with suppress(subprocess.TimeoutExpired):
            return process.communicate(given, timeout=min(_POLL_SECONDS, limit_seconds - waited))
        given = None  # what is left of it is sent by the next call
    raise subprocess.TimeoutExpired(process.args, limit_seconds)


def _end(process: subprocess.Popen[str]) -> None:
    """Kill it and what it started, if it is still there."""
    if process.poll() is None:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def _why(code: int, messages: str) -> tuple[str, str]:
    """Status and reason of a process that ended without a record."""
    if code == _KILLED:
        return "oom", "the process was killed, which the system does when main memory runs out"
    last = messages.strip().splitlines()[-1:] or ["it said nothing"]
    return "failed", f"the process ended with code {code}: {last[0][:500]}"
