"""One run a folder, whatever became of the one before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lowmem_fold.errors import InputError, OutputLostError
from lowmem_fold.system import lock as lock_module
from lowmem_fold.system.lock import LOCK, FolderLock

ROOT = Path(__file__).parents[2]
HOLD = """
import sys, time
from pathlib import Path
from lowmem_fold.system.lock import FolderLock
with FolderLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the folder."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_second_is_refused_and_named(tmp_path, holder):
    for attempt in (FolderLock(tmp_path).check, FolderLock(tmp_path).__enter__):
        with pytest.raises(InputError, match=rf"process {holder.pid}\b.*another folder with -o"):
            attempt()


def test_lock_of_a_killed_run_does_not_count(tmp_path, holder):
    holder.kill()
    assert holder.wait() == -signal.SIGKILL
    assert list(tmp_path.iterdir())  # the file is still there
    FolderLock(tmp_path).check()
    with FolderLock(tmp_path):
        pass


def test_nothing_is_left_behind(tmp_path):
    with FolderLock(tmp_path):
        assert list(tmp_path.iterdir())
    FolderLock(tmp_path).check()
    assert not list(tmp_path.iterdir())


def test_file_removed_by_the_run_before_is_not_what_is_locked(tmp_path, monkeypatch):
    real, removed = lock_module._lock, []

    def lock_late(descriptor):
        if not removed:
            removed.append(True)
            next(tmp_path.iterdir()).unlink()  # between our opening and our locking
        real(descriptor)

    monkeypatch.setattr(lock_module, "_lock", lock_late)
    with FolderLock(tmp_path), pytest.raises(InputError, match="another run"):
        FolderLock(tmp_path).__enter__()


def test_link_is_refused_and_what_it_points_to_stays(tmp_path):
    (tmp_path / "mine").write_text("precious\n")
    folder = tmp_path / "folder"
    folder.mkdir()
    for make in (os.symlink, os.link):
        make(tmp_path / "mine", folder / LOCK)
        for attempt in (FolderLock(folder).check, FolderLock(folder).__enter__):
            with pytest.raises(InputError, match=rf"{LOCK}: is a (hard )?link"):
                attempt()
        (folder / LOCK).unlink()
    (folder / LOCK).symlink_to(tmp_path / "not-there")
    with pytest.raises(InputError, match="is a link"):
        FolderLock(folder).check()
    assert (tmp_path / "mine").read_text() == "precious\n"
    assert not (tmp_path / "not-there").exists()


def test_folder_that_is_not_the_same_is_not_held(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    with FolderLock(folder) as lock:
        lock.check_held()
        folder.rename(tmp_path / "moved")
        with pytest.raises(OutputLostError, match="removed or moved"):
            lock.check_held()
        folder.mkdir()
        (folder / LOCK).write_text("another run's\n")
        with pytest.raises(OutputLostError, match="replaced by another one"):
            lock.check_held()
    assert (folder / LOCK).read_text() == "another run's\n"


def test_where_the_file_system_has_no_locks_the_run_goes_on(tmp_path, monkeypatch, caplog):
    def unsupported(descriptor):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(lock_module, "_lock", unsupported)
    with FolderLock(tmp_path):
        assert "nothing stops a second run" in caplog.text


def test_a_lock_is_abandoned_once_its_run_is_dead(tmp_path):
    lock = FolderLock(tmp_path)
    assert not lock.is_abandoned()  # there is none
    with FolderLock(tmp_path):
        assert not lock.is_abandoned()
    (tmp_path / ".lowmem_fold.lock").write_text("process 1\n")  # as a killed run leaves it
    assert lock.is_abandoned()
