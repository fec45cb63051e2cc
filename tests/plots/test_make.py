"""Every picture is there, light and dark, drawn from the records as they are, and the pages show both."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest

from plots import page as result_page
from plots import sweeps
from plots.make import PICTURES
from plots.style import dark_path, fingerprint, write

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "plots" / "README.md", ROOT / "docs" / "memory.md", ROOT / "docs" / "precision.md"]
NAMES = [module.PICTURE.stem for module in PICTURES]


def _captured(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> tuple:
    """What a module's `write` hands over: path, drawing, data."""
    calls: list[tuple] = []
    monkeypatch.setattr(module, "write_picture", lambda *arguments: calls.append(arguments))
    module.write()
    (call,) = calls
    return call


@pytest.mark.parametrize("module", PICTURES, ids=NAMES)
def test_the_pictures_are_of_the_records(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """They hold the fingerprint of what was drawn. After a change of the records: `python -m plots.make`."""
    picture, _, data = _captured(module, monkeypatch)
    for path in (picture, dark_path(picture)):
        content = path.read_bytes()
        assert content.startswith(b"\x89PNG") and fingerprint(data).encode() in content, f"python -m plots.make: {path}"


def test_the_pictures_of_sweeps_are_of_the_records() -> None:
    for picture, _, group in sweeps.pictures():
        for path in (picture, dark_path(picture)):
            assert fingerprint(group).encode() in path.read_bytes(), f"python -m plots.make: {path}"


@pytest.mark.parametrize("module", PICTURES, ids=NAMES)
def test_it_is_drawn_twice(module: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _, draw, data = _captured(module, monkeypatch)
    write(tmp_path / "picture.png", draw, data)
    light, dark = ((tmp_path / name).read_bytes() for name in ("picture.png", "picture-dark.png"))
    assert len(light) > 10_000 and len(dark) > 10_000 and light != dark


def test_all_pictures_are_made() -> None:
    """No module of a picture is left out, and no picture lies there that none draws."""
    folder = ROOT / "plots"
    modules = {path.stem for path in folder.glob("*.py")} - {
        "__init__",
        "make",
        "page",
        "precisions",
        "style",
        "sweeps",
    }
    assert {Path(inspect.getfile(module)).stem for module in PICTURES} == modules
    pictures = [
        result_page.PICTURE,
        *(module.PICTURE for module in PICTURES),
        *(picture for picture, _, _ in sweeps.pictures()),
    ]
    drawn = {path for picture in pictures for path in (picture, dark_path(picture))}
    assert set(folder.glob("*.png")) == drawn


def test_other_data_has_another_fingerprint() -> None:
    assert fingerprint([("a", [1], [0.1])]) != fingerprint([("a", [1], [0.2])])


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_pages_show_pictures_that_are_there_light_and_dark(page: Path) -> None:
    text = page.read_text()
    shown = re.findall(r'<img (?:width="\d+%" )?alt="[^"]+" src="([^"]+)">', text)
    dark = re.findall(r'<source media="\(prefers-color-scheme: dark\)" srcset="([^"]+)">', text)
    assert shown and dark == [str(dark_path(Path(name))) for name in shown]
    assert all((page.parent / name).is_file() for name in [*shown, *dark])
    assert text.count("<img") == len(shown) and not re.search(r"!\[[^]]*\]\([^)]*\.png\)", text)


def test_each_picture_is_on_the_page_of_pictures() -> None:
    text = (ROOT / "plots" / "README.md").read_text()
    shown = [*NAMES, *(path.stem for path, _, _ in sweeps.pictures())]
    assert re.findall(r'src="([^"]+)\.png"', text) == [shown[0], result_page.PICTURE.stem, *shown[1:]]
