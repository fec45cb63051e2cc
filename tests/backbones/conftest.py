from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.backbones.models import saved


@pytest.fixture(scope="session")
def family_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a family's small model, made once, for reading alone."""
    made: dict[str, Path] = {}

    def folder(case: str) -> Path:
        if case not in made:
            made[case] = saved(case, tmp_path_factory.mktemp("families") / case)
        return made[case]

    return folder
