"""Small language models, which the tests here share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lowmem_fold.backbones.backbone import Backbone
from lowmem_fold.backbones.loading import load_backbone
from lowmem_fold.cli.main import main
from tests.backbones.masked_stock import Stock, stock_of
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


@pytest.fixture(scope="session")
def quantized_folder(family_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small ESM-2 as `lowmem-fold quantize --precision bf16` writes it."""
    folder = tmp_path_factory.mktemp("quantized") / "esm2"
    assert main(["quantize", "-m", str(family_folder("esm2")), "--precision", "bf16", "-o", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def esm2(family_folder: Callable[[str], Path]) -> Backbone:
    """A small ESM-2 with its head."""
    return load_backbone(family_folder("esm2"), device="cpu")


@pytest.fixture(scope="session")
def esm2_stock(family_folder: Callable[[str], Path]) -> Stock:
    """The same one, of stock transformers."""
    return stock_of(family_folder("esm2"), "esm2")
