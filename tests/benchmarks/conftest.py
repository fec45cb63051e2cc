"""A small model in the layout of the published one."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import stand_in
from lowmem_fold.bench.models import small_config


@pytest.fixture(scope="session")
def small_stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder, for reading alone; skips where the memory of a process is not told."""
    if not Path("/proc/self/status").exists():
        pytest.skip("RssAnon is told by Linux alone")
    folder = tmp_path_factory.mktemp("models") / "stand-in"
    stand_in.write(folder, small_config())
    return folder
