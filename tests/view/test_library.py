"""3Dmol.js in the package: which one it is, that it is installed with the package, and a copy of one's own."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

from lowmem_fold.errors import InputError
from lowmem_fold.view.library import ADDRESS, INTEGRITY, VERSION, read_library, shipped_library

ROOT = Path(__file__).parents[2]
FOLDER = files("lowmem_fold.view") / "vendor" / "3dmol"


def test_the_copy_is_of_the_version_that_is_recorded():
    """By its own notice; the hash is the one that the CDN's file must have."""
    assert b"License information please see 3Dmol-min.js.LICENSE.txt".lower() in shipped_library()[:100].lower()
    text = (FOLDER / "3Dmol-min.js.LICENSE.txt").read_text(encoding="utf-8")
    assert re.findall(r"\* 3dmol v([\d.]+)", text) == [VERSION]
    assert f"3dmol@{VERSION}/build/3Dmol-min.js" in ADDRESS
    assert f"sha384-{base64.b64encode(hashlib.sha384(shipped_library()).digest()).decode()}" == INTEGRITY


def test_its_licence_is_beside_it():
    licence = (FOLDER / "LICENSE").read_text(encoding="utf-8")
    assert "University of Pittsburgh" in licence and "BSD-3-Clause" in licence
    assert "BSD-3-Clause" in json.loads((FOLDER / "origin.json").read_text(encoding="utf-8"))["license"]


def test_the_wheel_holds_it():
    """All of the package is in the wheel but what git ignores; the licence is among those of the distribution."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel == {"packages": ["lowmem_fold"]}
    patterns = project["project"]["license-files"]
    found = {path.relative_to(ROOT).as_posix() for pattern in patterns for path in ROOT.glob(pattern)}
    assert "lowmem_fold/view/vendor/3dmol/LICENSE" in found and "BSD-3-Clause" in project["project"]["license"]
    ignored = [line.strip("/\n") for line in (ROOT / ".gitignore").read_text().splitlines()]
    parts = {part for path in ("lowmem_fold/view/vendor/3dmol/3Dmol-min.js",) for part in path.split("/")}
    assert not parts & set(ignored)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(None, "cannot be read"), (b"var jQuery", "not 3Dmol.js"), (b"\xff\xfe3Dmol", "not 3Dmol.js")],
    ids=["missing", "another", "binary"],
)
def test_wrong_library(tmp_path, content, complaint):
    if content is not None:
        (tmp_path / "x.js").write_bytes(content)
    with pytest.raises(InputError, match=complaint):
        read_library(tmp_path / "x.js")
