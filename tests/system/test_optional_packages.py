from __future__ import annotations

import re
import tomllib
from pathlib import Path

from lowmem_fold.system.optional_packages import REQUIREMENTS, install_command


def test_they_are_the_extras_of_the_package() -> None:
    declared = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    extras = {name: each for name, each in declared["optional-dependencies"].items() if name not in ("test", "all")}
    assert set(REQUIREMENTS.values()) == {requirement for each in extras.values() for requirement in each}
    assert all(re.match(r"[\w-]+", wanted)[0] == name for name, wanted in REQUIREMENTS.items())  # type: ignore[index]


def test_a_command_for_several() -> None:
    assert install_command("h5py", "shtab") == "pip install 'h5py>=3.8' 'shtab>=1.7'"
