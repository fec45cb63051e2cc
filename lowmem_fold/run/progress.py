"""What a user sees of a run: a line for each record on standard output, a bar on standard error."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

from ..system.terminal import say
from .table import FAILED, OK

if TYPE_CHECKING:
    from ..sequences.records import Record

__all__ = ["Progress", "SilentProgress", "relative_work", "result_text"]

_GIB = 2**30
_MAX_REASON = 200


def relative_work(num_tokens: int, num_passes: int) -> float:
    """Arithmetic of a fold, up to a constant factor: what the remaining time is estimated by.

    Multiplications of ESMFold v1, in units of the part that grows with the square of the tokens T: the stem 119 T, and
    a pass through the trunk 27 T (sequence track), T^2 (projections of the pair state) and T^3 / 640 (triangles).
    """
    t = float(num_tokens)
    return _stem_work(num_tokens) + num_passes * (27 * t + t**2 + t**3 / 640)


def _stem_work(num_tokens: int) -> float:
    return 119.0 * num_tokens


def result_text(line: Mapping[str, Any], width: int = 0) -> str:
    """One line for a reader: id, length, confidence, seconds, peak memory; the reason where it is not well.

    Parameters
    ----------
    line : Mapping
        A line of ``scores.jsonl``.
    width : int
        Columns of the id.
    """
    start = f"{line['id']:<{width}}  {line['length']:>5} residues"
    if line["status"] == FAILED:
        return f"{start}  FAILED: {_shortened(str(line['reason']), _MAX_REASON)}"
    iptm = "" if line.get("iptm") is None else f"  ipTM {line['iptm']:.3f}"
    scores = f"pLDDT {_number(line['mean_plddt'], 5, 1)}  pTM {_number(line['ptm'], 5, 3)}{iptm}"
    text = f"{start}  {scores}  {_seconds(line['seconds'])}{_peak(line)}{_attempts(line)}"
    if line["status"] == OK:
        return text
    return f"{text}  {line['status'].upper()}: {_shortened(str(line['reason']), _MAX_REASON)}"


class SilentProgress:
    """Shows nothing; what a run calls as it goes."""

    def loading(self, model: str) -> None:
        """A model is about to be loaded."""

    def start(self, records: Sequence[Record], num_passes: int) -> None:
        """The records that are going to be folded are known."""

    def stem_begins(self, records: Sequence[Record]) -> None:
        """The stem is about to run for all of these, before their trunk does."""

    def stem_ended(self, records: Sequence[Record]) -> None:
        """What the stem makes of these is there."""

    def working_on(self, records: Sequence[Record]) -> None:
        """These are being folded now, in one batch."""

    def advanced(self, part: float) -> None:
        """So much, 0 to 1, of what is being folded is done."""

    def finished(self, record: Record, line: Mapping[str, Any]) -> None:
        """The line of a record is written."""

    def close(self) -> None:
        """The run is over, or broken off."""


class Progress(SilentProgress):
    """A bar where standard error is a terminal, and the lines.

    Parameters
    ----------
    lines, bar : TextIO, optional
        Standard output and standard error.
    """

    def __init__(self, lines: TextIO | None = None, bar: TextIO | None = None) -> None:
        self._lines: TextIO | None = lines or sys.stdout
        self._stream = bar or sys.stderr
        self._bar: Any = None
        self._passes = 1
        self._width = 0
        self._done = self._total = 0
        self._work_done = self._work_at_hand = 0.0
        self._without_stem: set[str] = set()

    def loading(self, model: str) -> None:
        if self._stream.isatty():
            say(f"loading {model}", stream=self._stream)

    def start(self, records: Sequence[Record], num_passes: int) -> None:
        self._passes = num_passes
        self._total = len(records)
        self._width = max((len(record.id) for record in records), default=0)
        if records and self._stream.isatty():
            self._bar = self._new_bar(sum(self._work(record) for record in records))

    def stem_begins(self, records: Sequence[Record]) -> None:
        self._work_at_hand = sum(_stem_work(record.num_tokens) for record in records)
        if self._bar is not None:
            several = f"{len(records)} records" if len(records) > 1 else _shortened(records[0].id, 40)
            self._bar.set_description_str(
                f"language model of {several}, {sum(record.length for record in records)} residues"
            )

    def stem_ended(self, records: Sequence[Record]) -> None:
        for record in records:
            if record.id not in self._without_stem:
                self._without_stem.add(record.id)
                self._work_done += _stem_work(record.num_tokens)
        self._move_to(self._work_done)

    def working_on(self, records: Sequence[Record]) -> None:
        self._work_at_hand = sum(self._work(record) for record in records)
        if self._bar is not None:
            first = records[0]
            more = f" and {len(records) - 1} more" if len(records) > 1 else ""
            place = f"{self._done + 1}/{self._total}"
            self._bar.set_description_str(f"{place} {_shortened(first.id, 40)}{more}, {first.length} residues")

    def advanced(self, part: float) -> None:
        self._move_to(self._work_done + part * self._work_at_hand)

    def finished(self, record: Record, line: Mapping[str, Any]) -> None:
        self._done += 1
        self._work_done += self._work(record)
        self._write(result_text(line, self._width))
        self._move_to(self._work_done)

    def _work(self, record: Record) -> float:
        stem = _stem_work(record.num_tokens) if record.id in self._without_stem else 0
        return relative_work(record.num_tokens, self._passes) - stem

    def _move_to(self, work: float) -> None:
        if self._bar is not None:
            self._bar.update(max(0.0, work - self._bar.n))  # never back, as after a batch that failed

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _new_bar(self, total: float) -> Any:
        from tqdm import tqdm

        # smoothing=0: the mean speed so far, since records differ too much for the speed of the last ones.
        layout = "{desc} |{bar}| {percentage:3.0f}% [{elapsed}, {remaining} left]"
        return tqdm(
            total=total, file=self._stream, bar_format=layout, smoothing=0, leave=False, dynamic_ncols=True, miniters=0
        )

    def _write(self, text: str) -> None:
        if self._bar is not None:
            self._bar.clear()
        if self._lines is not None:
            try:
                say(text, stream=self._lines)
            except OSError:  # nobody reads any more (a closed pipe or session): the run goes on without it
                self._lines = None
                with suppress(OSError, ValueError):
                    self._silence_stdout()

    @staticmethod
    def _silence_stdout() -> None:
        """So that the interpreter does not complain about the broken pipe when it ends."""
        import os

        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _number(value: float | None, width: int, decimals: int) -> str:
    return f"{'?':>{width}}" if value is None else f"{value:{width}.{decimals}f}"


def _seconds(seconds: float) -> str:
    return f"{seconds:7.1f} s"


def _peak(line: Mapping[str, Any]) -> str:
    peak = line.get("peak_bytes")
    return "" if peak is None else f"  peak {peak / _GIB:.2f} GiB"


def _attempts(line: Mapping[str, Any]) -> str:
    """How a record was folded that did not fit at first."""
    lower = f", in {line['precision']}, a lower precision" if "precision" in line else ""
    if line.get("attempts", 1) == 1 and not lower:
        return ""
    blocks = "" if line["chunk_size"] is None else f", blocks of {line['chunk_size']} rows"
    return f"  attempt {line['attempts']}: {line['placement']}{blocks}{lower}"


def _shortened(text: str, most: int) -> str:
    first = text.strip().split("\n")[0]
    return first if len(first) <= most else first[: most - 3] + "..."
