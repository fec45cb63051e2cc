from __future__ import annotations

import sys

import pytest

from lowmem_fold.bench import probe
from lowmem_fold.bench.probe import slowness


def test_no_machine_is_faster_than_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "PROBE_SECONDS", 1e4)
    assert slowness((sys.executable, "-c", "")) == 1.0


def test_a_machine_is_as_slow_as_its_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "PROBE_SECONDS", 0.1)
    monkeypatch.setattr(probe, "MOST", 1000.0)
    assert slowness((sys.executable, "-c", "import time; time.sleep(0.3)")) >= 3


def test_a_probe_is_stopped_where_it_tells_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "PROBE_SECONDS", 0.01)
    assert slowness((sys.executable, "-c", "import time; time.sleep(600)")) == probe.MOST


def test_the_probe_folds() -> None:
    probe.main()
