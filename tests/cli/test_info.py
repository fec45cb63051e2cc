"""``lowmem-fold info`` against what is installed and what the system says."""

from __future__ import annotations

import json
import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from lowmem_fold.cli.info import EXTRAS
from lowmem_fold.cli.main import main

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_json(capsys):
    assert main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["versions"]["torch"] == version("torch")
    assert facts["versions"]["numpy"] == np.__version__
    assert [device["device"] for device in facts["devices"]].count("cpu") == 1
    assert len(facts["devices"]) == 1 + torch.cuda.device_count() + torch.backends.mps.is_available()
    assert facts["memory"]["total_bytes"] > 2**28


def test_text(capsys):
    assert main(["info"]) == 0
    shown = capsys.readouterr().out
    assert re.search(rf"torch +{re.escape(version('torch'))}\n", shown)
    for extra, packages in EXTRAS.items():
        for name in packages:
            assert name in shown
        missing = any(re.search(rf"  {name} +not installed", shown) for name in packages)
        assert (f"pip install 'lowmem-fold[{extra}]'" in shown) is missing


def test_extras_are_those_of_the_package():
    declared = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]
    declared = {
        extra: {re.match(r"[\w-]+", requirement)[0] for requirement in requirements}
        for extra, requirements in declared.items()
        if extra not in ("test", "all")
    }
    assert {extra: set(packages) for extra, packages in EXTRAS.items()} == declared
