"""The log of a run."""

from __future__ import annotations

import logging

import pytest

from lowmem_fold.errors import InputError
from lowmem_fold.system.log import logging_to


def test_lines_are_appended_whatever_they_hold(tmp_path, monkeypatch):
    # Else pytest captures the half of a letter too, which its processes cannot tell each other.
    monkeypatch.setattr(logging.getLogger("lowmem_fold"), "propagate", False)
    path = tmp_path / "log"
    path.write_text("before\n")
    with logging_to(path) as logger:
        logger.info("r\ud800 Å")
    logger.info("after")
    first, second = path.read_text(encoding="utf-8").splitlines()
    assert first == "before"
    assert second.endswith(" INFO r\\ud800 Å")
    assert not logging.getLogger("lowmem_fold").handlers


def test_link_is_refused_and_what_it_points_to_stays(tmp_path):
    (tmp_path / "mine").write_text("precious")
    (tmp_path / "log").symlink_to(tmp_path / "mine")
    with pytest.raises(InputError, match="log: is a link"), logging_to(tmp_path / "log"):
        pass
    assert (tmp_path / "mine").read_text() == "precious"
    assert not logging.getLogger("lowmem_fold").handlers
