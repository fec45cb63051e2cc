"""Ctrl-C and termination as one exception that waits while a result is being written."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

__all__ = ["StopSignals", "Stopped"]

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP


class Stopped(KeyboardInterrupt):
    """A signal asked the run to end. A KeyboardInterrupt, so that nobody takes it for the failure of one record."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum

    @property
    def exit_code(self) -> int:
        """What a shell reports for a program that this signal ended: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.signum


class StopSignals:
    """While entered (in the main thread), SIGINT, SIGTERM and SIGHUP raise ``Stopped``.

    The second signal ends the process at once. A signal that was ignored at the start (``nohup``) stays so.
    Not entered, ``held`` and ``check`` do nothing.
    """

    def __init__(self) -> None:
        self._former: dict[int, Any] = {}
        self._pending: int | None = None
        self._holds = 0

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for name in _NAMES:
                number = getattr(signal, name, None)
                if number is not None and signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._former[number] = signal.signal(number, self._stop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._former:
            signal.signal(*self._former.popitem())

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let a signal wait until the block is done."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1
        self.check()

    def check(self) -> None:
        """Raise ``Stopped`` if a signal came while held, or was lost where Python swallows exceptions (finalizers)."""
        if self._pending is not None and not self._holds:
            raise Stopped(self._pending)

    def _stop(self, signum: int, frame: FrameType | None) -> None:
        self._pending = signum
        for number in self._former:
            signal.signal(number, signal.SIG_DFL)
        self.check()
