"""What is cached comes back, and nothing that goes wrong with a cache is an error."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from lowmem_fold.system import cache

VALUE = {"seconds": [1.5, 2e-9], "name": "Ångström", "none": None}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOWMEM_FOLD_CACHE", str(tmp_path / "made" / "when needed"))
    return tmp_path / "made" / "when needed"


def test_a_value_comes_back(folder: Path) -> None:
    cache.write_json("a", VALUE)
    cache.write_json("b", [1])
    assert cache.read_json("a") == VALUE
    assert cache.read_json("b") == [1]
    assert {file.name for file in folder.iterdir()} == {"a.json", "b.json"}  # and no temporary name


def test_the_last_value_counts(folder: Path) -> None:
    cache.write_json("a", VALUE)
    cache.write_json("a", {})
    assert cache.read_json("a") == {}


def test_nothing_is_made_by_reading(folder: Path) -> None:
    assert cache.read_json("a") is None
    assert not folder.exists()


@pytest.mark.parametrize(
    "damage",
    [b"", b'{"seconds": [1.', b"\xff\xfe", b"\0" * 64],
    ids=["empty", "cut short", "no UTF-8", "zeros"],
)
def test_a_damaged_file_counts_as_absent(folder: Path, damage: bytes, caplog: pytest.LogCaptureFixture) -> None:
    cache.write_json("a", VALUE)
    (folder / "a.json").write_bytes(damage)
    with caplog.at_level(logging.DEBUG, logger="lowmem_fold"):
        assert cache.read_json("a") is None
    assert "a.json" in caplog.text
    cache.write_json("a", VALUE)
    assert cache.read_json("a") == VALUE


def test_a_changed_bit_counts_as_absent(folder: Path) -> None:
    """Whichever it is: of a number, a word, a bracket, the checksum."""
    cache.write_json("a", VALUE)
    sound = (folder / "a.json").read_bytes()
    for place in range(len(sound)):
        (folder / "a.json").write_bytes(sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :])
        assert cache.read_json("a") in (None, VALUE), place  # a blank that became another changes nothing


@pytest.mark.parametrize("text", ["[1]", "3", "null", '{"value": 1}', '{"sha256": 1, "value": {}}', "[" * 10**5])
def test_what_is_not_kept_by_us_counts_as_absent(folder: Path, text: str) -> None:
    folder.mkdir(parents=True)
    (folder / "a.json").write_text(text)
    assert cache.read_json("a") is None


def test_what_is_no_file_counts_as_absent(folder: Path) -> None:
    (folder / "a.json").mkdir(parents=True)
    assert cache.read_json("a") is None


def test_a_folder_that_cannot_be_made_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LOWMEM_FOLD_CACHE", str(tmp_path / "file" / "cache"))
    with caplog.at_level(logging.DEBUG, logger="lowmem_fold"):
        cache.write_json("a", VALUE)
        assert cache.read_json("a") is None
    assert "not cached" in caplog.text
    assert all(record.levelno == logging.DEBUG for record in caplog.records)


def test_a_value_that_was_there_outlives_a_write_that_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.write_json("a", VALUE)

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.replace", full)
    cache.write_json("a", {})
    monkeypatch.undo()
    monkeypatch.setenv("LOWMEM_FOLD_CACHE", str(folder))
    assert cache.read_json("a") == VALUE


@pytest.mark.parametrize(
    ("variables", "platform", "expected"),
    [
        ({"LOWMEM_FOLD_CACHE": "/own", "XDG_CACHE_HOME": "/xdg"}, "linux", "/own"),
        ({"LOWMEM_FOLD_CACHE": "", "XDG_CACHE_HOME": "/xdg"}, "linux", "/xdg/lowmem_fold"),
        ({"XDG_CACHE_HOME": "relative"}, "linux", "/home/user/.cache/lowmem_fold"),
        ({}, "linux", "/home/user/.cache/lowmem_fold"),
        ({}, "darwin", "/home/user/Library/Caches/lowmem_fold"),
        ({"LOCALAPPDATA": "/local"}, "win32", "/local/lowmem_fold"),
        ({}, "win32", "/home/user/AppData/Local/lowmem_fold"),
    ],
    ids=["own", "xdg", "relative", "linux", "macos", "windows", "windows, bare"],
)
@pytest.mark.skipif(sys.platform == "win32", reason="paths are spelled otherwise")
def test_the_folder(variables: dict[str, str], platform: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOWMEM_FOLD_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/user", **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert cache.cache_folder() == Path(expected)


def test_torch_is_not_needed() -> None:
    program = "import sys, lowmem_fold.system.cache; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
