"""The outputs that later configurations are compared with, kept in a folder while a sweep goes on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .configuration import Configuration

if TYPE_CHECKING:
    from .accuracy import Outputs

__all__ = ["LONGEST", "load_outputs", "reference_path", "save_outputs"]

#: Residues up to which outputs are kept: their distogram takes 256 bytes a pair, 256 MiB at this length.
LONGEST = 1024


def reference_path(folder: Path, configuration: Configuration, fingerprint: str) -> Path:
    """Where the outputs are, or are to be, that a configuration is compared with: those of the same model, sequence and
    recycles."""
    what = [fingerprint, configuration.length, configuration.num_recycles, configuration.device]
    return folder / f"{hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]}.npz"


def save_outputs(path: Path, outputs: Mapping[str, Any]) -> None:
    """Whole, or not at all."""
    import numpy as np

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        with partial.open("wb") as stream:
            np.savez(stream, **outputs)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def load_outputs(path: Path) -> Outputs | None:
    """What `save_outputs` has written there; None where nothing is."""
    import numpy as np

    if not path.exists():
        return None
    with np.load(path) as data:
        return {name: data[name] for name in data.files}
