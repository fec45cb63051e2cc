"""What the cache has of a plan holds only where it is whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lowmem_fold.planning.facts import Facts, FactSource, Placed
from lowmem_fold.system import cache

PHASES = ("stem", "trunk", "heads")
FACTS = Facts(
    resolved="fp32",
    activations=dict.fromkeys(PHASES, 1000),
    layout={"fixed": 1, "stem": [2], "trunk": [3], "stem_converted": [0], "trunk_converted": [0]},
    placements={"resident": Placed(dict.fromkeys(PHASES, 2000), 0, True, None)},
)


@pytest.fixture
def facts_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Facts]:
    """What a plan is made of, which is worked out at once; the cache is one of its own, and has it already."""
    monkeypatch.setenv("LOWMEM_FOLD_CACHE", str(tmp_path))
    monkeypatch.setattr(FactSource, "_facts", lambda *_: FACTS)
    source = FactSource("demo", "cpu", 0)
    source.at(12, ["fp32"])
    return lambda: source.at(12, ["fp32"])["fp32"]


def test_what_is_kept_comes_back(facts_of: Callable[[], Facts], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FactSource, "_facts", lambda *_: pytest.fail("worked out again"))
    assert facts_of() == FACTS


def test_other_numbers_are_not_taken(facts_of: Callable[[], Facts], tmp_path: Path) -> None:
    (path,) = tmp_path.iterdir()
    sound = path.read_text()
    changed = json.loads(sound)
    changed["value"]["fp32"]["activations"]["trunk"] *= 1000
    for text in (
        json.dumps(changed),
        sound.replace("2000", "2001"),
        sound.replace("resolved", "revolved"),
        sound[:-50],
    ):
        path.write_text(text)
        assert facts_of() == FACTS
        assert path.read_text() == sound  # made anew


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"resolved": "fp32"},
        {"resolved": 5, "activations": dict.fromkeys(PHASES, 1), "layout": {}, "placements": {}},
        {"resolved": "fp33", "activations": dict.fromkeys(PHASES, 1), "layout": {}, "placements": {}},
        {"resolved": "fp32", "activations": {}, "layout": {}, "placements": {}},
        {"resolved": "fp32", "activations": dict.fromkeys(PHASES, 1), "layout": {}, "placements": {"resident": {}}},
        {"resolved": "fp32", "activations": 3, "layout": {}, "placements": {}},
        {"resolved": "fp32", "activations": dict.fromkeys(PHASES, 1), "layout": 3, "placements": {}},
        [1],
        3,
    ],
)
def test_what_cannot_be_facts_is_not_taken(facts_of: Callable[[], Facts], tmp_path: Path, values: object) -> None:
    """Even with a checksum that fits."""
    (path,) = tmp_path.iterdir()
    sound = path.read_text()
    cache.write_json(path.stem, {"fp32": values})
    assert facts_of() == FACTS
    assert path.read_text() == sound
