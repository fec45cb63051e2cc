"""Each file of a sweep is drawn, every group of it, from what it holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lowmem_fold.bench.groups import groups
from lowmem_fold.bench.records import append_measurement
from plots.style import write
from plots.sweeps import RANDOM, pictures
from tests.bench.sweeps import fold, sweep
from tests.plots.drawn import bars_of, figure_of


def _results(folder: Path) -> Path:
    for each in [*sweep((64, 128)), fold(requested={"model": "other"})]:
        append_measurement(folder / "card.jsonl", each)
    append_measurement(folder / "others.jsonl", replace(fold(), benchmark="seconds"))
    return folder


def test_names(tmp_path: Path) -> None:
    found = [path.name for path, _, _ in pictures(_results(tmp_path), Path("plots"))]
    kinds = ["seconds", "peaks", "ratios", "phases", "drift"]
    assert found == [
        *(f"card-{kind}.png" for kind in kinds),
        *(f"card-2-{kind}.png" for kind in ("seconds", "peaks", "phases")),
    ]


def test_what_is_drawn_is_of_the_file(tmp_path: Path) -> None:
    (_, draw, group), *_ = pictures(_results(tmp_path), tmp_path)
    assert group.records.keys() == groups(sweep((64, 128)))[0].records.keys()
    assert [bars_of(axes).get("stock fp32") for axes in figure_of(draw, group).axes] == [6.4, 12.8, None]


def test_of_random_weights_no_drift_is_drawn(tmp_path: Path) -> None:
    for each in sweep((64, 128)):
        append_measurement(tmp_path / "a.jsonl", replace(each, requested={**each.requested, "model": RANDOM[0]}))
    assert [path.stem for path, _, _ in pictures(tmp_path)] == ["a-seconds", "a-peaks", "a-ratios", "a-phases"]


def test_draws(tmp_path: Path) -> None:
    path, draw, group = next(iter(pictures(_results(tmp_path), tmp_path)))
    write(path, draw, group)
    assert path.stat().st_size > 10_000 and (tmp_path / "card-seconds-dark.png").stat().st_size > 10_000
