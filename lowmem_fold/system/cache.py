"""The user's cache folder: what is dear to measure once more, as JSON. Losing any of it costs time alone."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

__all__ = ["cache_folder", "read_json", "write_json"]

_log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """`LOWMEM_FOLD_CACHE`, else `lowmem_fold` in `XDG_CACHE_HOME` or in what the platform has for caches.

    It need not exist. A variable that is empty counts as not set, and so does, as its standard demands, an
    `XDG_CACHE_HOME` that is no absolute path.
    """
    if own := os.environ.get("LOWMEM_FOLD_CACHE"):
        return Path(own)
    xdg = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (xdg if xdg.is_absolute() else _platform_folder()) / "lowmem_fold"


def _platform_folder() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path("~/AppData/Local").expanduser())
    return Path("~/Library/Caches" if sys.platform == "darwin" else "~/.cache").expanduser()


def read_json(name: str) -> Any:
    """Return what `write_json` wrote under this name; None where there is nothing, or it was damaged or changed."""
    try:
        kept = json.loads((cache_folder() / f"{name}.json").read_text(encoding="utf-8"))
        if kept["sha256"] != _checksum(kept["value"]):
            raise ValueError("it is not what was written")
        return kept["value"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:  # a ValueError: also no UTF-8, no JSON
        _log.debug("%s.json in the cache counts as absent: %s", name, error)
        return None


def write_json(name: str, value: Any) -> None:
    """Keep a JSON-able value under a name that can be a file's, with its checksum: whole, or not at all.

    A folder that cannot be made or written is no error: nothing is kept then.
    """
    from .files import write_text_atomic  # with numpy, for which `--help` does not wait

    text = json.dumps({"sha256": _checksum(value), "value": value}, indent=1)
    try:
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        write_text_atomic(folder / f"{name}.json", text)
    except (OSError, RuntimeError) as error:  # RuntimeError: a user without a home
        _log.debug("%s.json is not cached: %s", name, error)


def _checksum(value: Any) -> str:
    """Of the value as JSON, which is the same of what JSON makes of it: a changed digit would be a plan of its own."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
