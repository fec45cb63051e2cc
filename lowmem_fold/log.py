"""The log file of a run."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .formats.files import open_own

__all__ = ["logging_to"]


@contextmanager
def logging_to(path: Path) -> Iterator[logging.Logger]:
    """Append what the package logs, with local times and tracebacks, to a file while the block runs.

    InputError if the file is a link.
    """
    logger = logging.getLogger("lowmem_fold")
    descriptor = open_own(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    stream = os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
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
