"""The picture of the result page is of the committed run, which is the shipped model's, light and dark."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lowmem_fold.checkpoints.checkpoint import find_checkpoint
from lowmem_fold.view.run import read_run
from plots import page
from plots.style import dark_path, fingerprint
from tests.models import sampled_fingerprint

BOTH = pytest.mark.parametrize("path", [page.PICTURE, dark_path(page.PICTURE)], ids=["light", "dark"])


@BOTH
def test_it_is_of_the_run_and_not_too_large_for_a_front_page(path: Path) -> None:
    """After a change of the run: `python -m plots.page`."""
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG") and len(content) < 300_000
    assert fingerprint(page.run_files()).encode() in content and page.is_current()


def test_one_is_light_and_one_is_dark() -> None:
    light, dark = (np.asarray(Image.open(path).convert("L")) for path in (page.PICTURE, dark_path(page.PICTURE)))
    assert light[3, 3] > 200 and dark[3, 3] < 50


def test_the_structure_is_drawn() -> None:
    """Much of the left panel has a colour, which a page without its structure has not."""
    pixels = np.asarray(Image.open(page.PICTURE).convert("RGB").crop((40, 550, 590, 940)))
    assert (np.ptp(pixels, axis=2) > 60).mean() > 0.03


def test_the_run_is_whole_and_of_the_shipped_model() -> None:
    run, demo = read_run(page.RUN), find_checkpoint("demo")
    assert page.RECORD in [record.id for record in run.records] and run.complaints == []
    assert not [text for record in run.records for text in record.complaints]
    config = json.loads((page.RUN / "config.json").read_text())
    assert config["model"]["fingerprint"] in {demo.fingerprint(), sampled_fingerprint(demo.path)}
    assert "source" not in config["model"]  # a folder of one machine


def test_without_a_browser_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="apt install chromium"):
        page.write(tmp_path / "page.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.browser
@pytest.mark.more
def test_it_is_taken_twice(tmp_path: Path) -> None:
    page.write(tmp_path / "page.png")
    for name in ("page.png", "page-dark.png"):
        assert fingerprint(page.run_files()).encode() in (tmp_path / name).read_bytes()
