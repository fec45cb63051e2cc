"""The log file of a run."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .files import open_own
from .terminal import printable

__all__ = ["logging_to"]


class _Printable(logging.Formatter):
    """Of lines that a terminal can show: headers, names of files and messages of others stand in them."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


@contextmanager
def logging_to(path: Path) -> Iterator[logging.Logger]:
    """Append what the package logs, with local times and tracebacks, to a file while the block runs.

    InputError if the file is a link.
    """
    logger = logging.getLogger("lowmem_fold")
    descriptor = open_own(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    stream = os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Printable("%(asctime)s %(levelname)s %(message)s"))
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield logger
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
        handler.close()
        stream.close()
