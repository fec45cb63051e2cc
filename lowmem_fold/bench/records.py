"""Records of measurements, one JSON object a line, in files that are only ever appended to.

Each record stands for itself: what was asked for and what ran, the environment, every raw sample with its unit in its
name (``seconds``, ``peak_bytes``), and a status. Statistics are derived from the samples when a table is drawn, and
stored nowhere. Running out of memory is a result like any other: a status with its reason. ``README.md`` beside this
file lists the keys.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import InputError

__all__ = ["SCHEMA_VERSION", "STATUSES", "Measurement", "append_measurement", "read_measurements"]

#: Rises when a key changes its meaning or goes; a reader refuses what it does not know.
SCHEMA_VERSION = 1
STATUSES = ("ok", "oom", "refused", "timeout", "failed")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Measurement:
    """One configuration, measured by one process.

    Attributes
    ----------
    benchmark : str
        What was measured, such as ``"trunk-pass"``: the records of one table share it.
    requested : mapping
        The configuration as asked for: lengths, precision, memory, ...
    resolved : mapping
        What was chosen from it and ran: block height, placement, model and its fingerprint, ...
    environment : mapping
        As ``environment.describe_environment`` gives it.
    samples : mapping of str to sequence of numbers
        Raw samples in the order taken, by a name that ends in the unit. Bytes are integers.
    status : str
        One of ``STATUSES``. "refused" is what a planner declined to run.
    reason : str or None
        Why, for every status but "ok".
    time : str
        UTC, ISO 8601.
    schema_version : int

    Raises
    ------
    ValueError
        When a value breaks what is said above, or is not JSON-able.
    """

    benchmark: str
    requested: Mapping[str, Any]
    resolved: Mapping[str, Any]
    environment: Mapping[str, Any]
    samples: Mapping[str, Sequence[float]] = field(default_factory=dict)
    status: str = "ok"
    reason: str | None = None
    time: str = field(default_factory=_now)
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        if self.schema_version != SCHEMA_VERSION:
            raise ValueError(f"schema_version is {self.schema_version}, this version reads {SCHEMA_VERSION}")
        if self.status not in STATUSES:
            raise ValueError(f"status is {self.status!r}, not one of {', '.join(STATUSES)}")
        if (self.status == "ok") != (self.reason is None):
            raise ValueError(
                f"status is {self.status!r} and reason {self.reason!r}: every status but 'ok' has a reason"
            )
        for name, values in self.samples.items():
            _check_samples(name, values)

    def to_line(self) -> str:
        """One line of JSON, without its end. Numbers of numpy and torch must have been made Python's."""
        try:
            return json.dumps(asdict(self), allow_nan=False, ensure_ascii=False)
        except TypeError as error:
            raise ValueError(f"a record holds what JSON cannot: {error}") from error

    @classmethod
    def from_line(cls, line: str) -> Measurement:
        """The record of a line that ``to_line`` made; ValueError says what is wrong with another."""
        values = json.loads(line)
        if not isinstance(values, dict):
            raise ValueError("not a JSON object")
        names = {each.name for each in fields(cls)}
        if missing := sorted(names - values.keys()):
            raise ValueError(f"without {', '.join(missing)}")
        if unknown := sorted(values.keys() - names):
            raise ValueError(f"with unknown {', '.join(unknown)}")
        return cls(**values)


def append_measurement(path: str | Path, measurement: Measurement) -> None:
    """Append a record as one line, in one write that is on the disk when this returns.

    Several processes may append to one file on a local file system: their lines come whole, in some order. The file and
    its folder are made where they are missing. A line that a killed process left half written stays as it is, on a
    line of its own.

    Raises
    ------
    OSError
        When the line could not be written whole, as on a full disk.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    line = (measurement.to_line() + "\n").encode("utf-8")
    binary = getattr(os, "O_BINARY", 0)  # Windows would turn the line's end into two bytes
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | binary, 0o644)
    try:
        if not _ends_in_newline(file):
            line = b"\n" + line
        written = os.write(file, line)
        os.fsync(file)
    finally:
        os.close(file)
    if written != len(line):
        raise OSError(
            f"{path}: only {written} of the {len(line)} bytes of a record could be written: is the disk full?"
        )


def read_measurements(path: str | Path) -> list[Measurement]:
    """The records of a file, in its order. Blank lines are skipped.

    Raises
    ------
    InputError
        Names the file, and the line that is cut short or is no record of this schema.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    lines = data.split(b"\n")
    return [_measurement(line, path, number, len(lines)) for number, line in enumerate(lines, start=1) if line.strip()]


def _measurement(line: bytes, path: str | Path, number: int, count: int) -> Measurement:
    if number == count:  # what stands after the last line's end
        raise InputError(
            f"{path}, line {number}: the last record is cut short ({len(line)} bytes without a line's end); "
            "its process was killed while it wrote. Delete this line and measure again."
        )
    try:
        return Measurement.from_line(line.decode("utf-8"))
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path}, line {number}: not a record of schema {SCHEMA_VERSION}: {error}") from error


def _check_samples(name: str, values: Sequence[float]) -> None:
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"sample {value!r} of {name!r} is not a finite number")
        if name.endswith("bytes") and not isinstance(value, int):
            raise ValueError(f"sample {value!r} of {name!r} is not an integer number of bytes")


def _ends_in_newline(file: int) -> bool:
    """Whether an appended line would start a line: an empty file counts."""
    if os.fstat(file).st_size == 0:
        return True
    os.lseek(file, -1, os.SEEK_END)
    return os.read(file, 1) == b"\n"
