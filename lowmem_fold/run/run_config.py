"""``config.json``: the settings, options, model and versions of the run that wrote a folder."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..system.versions import environment_versions
from .options import RunOptions

__all__ = ["CONFIG", "config_text", "read_config", "run_config"]

CONFIG = "config.json"
SCHEMA = 1
#: Options that are among the settings, or of this start alone.
_LEFT_OUT = {"model", "precision", "num_recycles", "recycle_tolerance", "overwrite", "adopt"}


def run_config(settings: Mapping[str, Any], options: RunOptions, model: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``config.json`` says: by ``settings`` alone it is judged whether a later run may resume."""
    return {
        "settings": dict(settings),
        "options": {name: value for name, value in vars(options).items() if name not in _LEFT_OUT},
        "model": dict(model),
        "device_name": _device_name(str(model.get("device", "cpu"))),
        "versions": environment_versions(),
        "platform": platform.platform(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _device_name(device: str) -> str:
    if device.startswith("cuda"):
        import torch

        return str(torch.cuda.get_device_name(device))
    return platform.processor() or platform.machine()


def config_text(config: Mapping[str, Any]) -> str:
    """Return the text of the file."""
    return json.dumps({"schema": SCHEMA, **config}, indent=1) + "\n"


def read_config(path: Path, adopt: bool, is_of_a_run: Callable[[], bool]) -> dict[str, Any] | None:
    """Return what ``config.json`` says, None if there is none.

    adopt: one that is damaged counts as none. is_of_a_run: whether results of a run lie beside it. InputError if it is
    damaged, or not of a run.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        if adopt and isinstance(error, ValueError):
            return None
        how = " If a run of lowmem-fold wrote it, add --adopt to have it written anew." if is_of_a_run() else ""
        raise InputError(f"{path}: cannot be read ({error}).{how} Else give another folder with -o.") from None
    if not isinstance(config, dict) or not isinstance(config.get("settings"), dict):
        raise InputError(f"{path}: is not from lowmem-fold and would be overwritten. Give another folder with -o.")
    if config.get("schema") != SCHEMA:
        raise InputError(
            f"{path}: written by another version of lowmem-fold (schema {config.get('schema')}, this one writes "
            f"{SCHEMA}). Give another folder with -o."
        )
    return config
