"""``lowmem-fold info`` against what is installed and what the system says."""

from __future__ import annotations

import json
import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch

from lowmem_fold import load
from lowmem_fold.cli.info import EXTRAS
from lowmem_fold.cli.main import main
from lowmem_fold.precision import parse_precision, readable_part
from lowmem_fold.quantization.registry import unavailable

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
    (hint,) = re.findall("  pip install .*", shown) or [""]
    for name in {name for packages in EXTRAS.values() for name in packages}:
        assert len(re.findall(rf"  {name} ", shown)) == 1
        assert (f"'{name}>=" in hint) is bool(re.search(rf"  {name} +not installed", shown))


def test_extras_are_those_of_the_package():
    declared = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]
    declared = {
        extra: {re.match(r"[\w-]+", requirement)[0] for requirement in requirements}
        for extra, requirements in declared.items()
        if extra not in ("test", "all")
    }
    assert {extra: set(packages) for extra, packages in EXTRAS.items()} == declared


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8", "bnb-nf4", "int4,exclude=esm.encoder.layer.0.*"])
def test_weights_are_told_as_loading_makes_them(capsys, precision):
    if reason := unavailable(parse_precision(precision).stem.weights, torch.device("cpu")):
        pytest.skip(reason)
    assert main(["info", "-m", "demo", "--precision", precision, "--device", "cpu", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    described = load("demo", precision=precision, device="cpu").describe()
    assert (described.pop("placement"), described.pop("weights_wait_in")) == ("resident", "none")
    assert told == described
    assert main(["info", "-m", "demo", "--precision", precision, "--device", "cpu"]) == 0
    shown = capsys.readouterr().out
    for part, about in told["weights"].items():
        assert re.search(rf"  {readable_part(part)} .* {about['bits_per_weight']:.2f}  ", shown)


def test_a_precision_is_told_of_a_model(capsys):
    assert main(["info", "--precision", "int8"]) == 2
    assert "--precision needs --model" in capsys.readouterr().err
