"""ESMFold v1 in full size with random weights, as a folder in main memory: made once a run, by the first that asks."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import stand_in
from lowmem_fold.esmfold.published import esmfold_v1_config

from .card import Card

__all__ = ["full_size_model", "scratch_folder"]

NEEDED_BYTES = 9 * 10**9
_IN_MEMORY = Path("/dev/shm")


@contextmanager
def scratch_folder(quick: bool) -> Iterator[Path]:
    """A folder for a run, in main memory where that has room for the model; it is gone afterwards."""
    in_memory = _IN_MEMORY.is_dir() and shutil.disk_usage(_IN_MEMORY).free > (NEEDED_BYTES if not quick else 10**9)
    folder = Path(tempfile.mkdtemp(prefix="lowmem_fold_card_", dir=_IN_MEMORY if in_memory else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def full_size_model(card: Card) -> Path:
    """The folder of the model: of two layers and two blocks in a quick run. Its weights are drawn on the device."""
    folder = card.scratch / "model"
    if not folder.exists():
        making = card.scratch / f"making-{os.getpid()}"
        config = esmfold_v1_config(2, 2) if card.quick else esmfold_v1_config()
        stand_in.write(making, config, device=card.device, safe=True)
        os.replace(making, folder)
    return folder
