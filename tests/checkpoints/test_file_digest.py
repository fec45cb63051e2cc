"""The hash of a large file is kept as long as the file is the same."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from lowmem_fold.checkpoints import file_digest as module
from lowmem_fold.checkpoints.file_digest import file_digest

DATA = b"abc" * 1000


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that counts as large, and as written long ago; nothing is kept yet."""
    monkeypatch.setenv("LOWMEM_FOLD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "_KEPT_FROM_BYTES", 100)
    monkeypatch.setattr(module, "_SETTLED_NS", -(10**18))
    monkeypatch.setattr(module, "_known", {})
    (tmp_path / "file").write_bytes(DATA)
    return tmp_path / "file"


def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    seen: list[Path] = []
    hashed = module._digest

    def counted(path: Path) -> str:
        seen.append(path)
        return hashed(path)

    monkeypatch.setattr(module, "_digest", counted)
    return seen


def test_it_is_the_sha256(large: Path) -> None:
    assert file_digest(large) == hashlib.sha256(DATA).hexdigest()


def test_a_large_file_is_read_once(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = reads(monkeypatch)
    first = file_digest(large)
    link = large.with_name("link")
    link.symlink_to(large)  # as the hub's cache has it
    assert file_digest(large) == file_digest(link) == first and len(seen) == 1
    monkeypatch.setattr(module, "_known", {})  # another process, which has the cache
    assert file_digest(large) == first and len(seen) == 1
    monkeypatch.setenv("LOWMEM_FOLD_CACHE", str(large / "no folder"))
    assert file_digest(large) == first and len(seen) == 1  # this process knows


def test_a_file_written_in_place_with_its_old_date_is_read_again(large: Path) -> None:
    before = large.stat()
    first = file_digest(large)
    data = DATA[:1500] + b"x" + DATA[1501:]
    while large.stat().st_ctime_ns == before.st_ctime_ns:  # the clock of a file system has steps
        with large.open("r+b") as stream:
            stream.write(data)
        os.utime(large, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (large.stat().st_ino, large.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert file_digest(large) == hashlib.sha256(data).hexdigest() != first


def test_a_file_that_was_just_written_is_not_trusted(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be written again within one step of the clock."""
    monkeypatch.setattr(module, "_SETTLED_NS", 10**18)
    seen = reads(monkeypatch)
    assert file_digest(large) == file_digest(large) and len(seen) == 2


def test_a_damaged_cache_is_read_again(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = file_digest(large)
    (kept,) = (large.parent / "cache").iterdir()
    kept.write_text(kept.read_text().replace(first, "0" * 64))
    monkeypatch.setattr(module, "_known", {})
    assert file_digest(large) == first


def test_small_files_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOWMEM_FOLD_CACHE", str(tmp_path / "cache"))
    (tmp_path / "file").write_bytes(DATA)
    assert file_digest(tmp_path / "file") == hashlib.sha256(DATA).hexdigest()
    assert not (tmp_path / "cache").exists()
