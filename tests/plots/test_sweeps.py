"""Each file of a sweep is drawn, every group of it, from what it holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lowmem_fold.bench.groups import groups
from lowmem_fold.bench.records import append_measurement
from plots.style import write
from plots.sweeps import pictures
from tests.bench.sweeps import fold, sweep
from tests.plots.drawn import figure_of, points_of


def _results(folder: Path) -> Path:
    for each in [*sweep((64, 128)), fold(requested={"model": "other"})]:
        append_measurement(folder / "card.jsonl", each)
    append_measurement(folder / "others.jsonl", replace(fold(), benchmark="seconds"))
    return folder


def test_names(tmp_path: Path) -> None:
    found = [path.name for path, _, _ in pictures(_results(tmp_path), Path("plots"))]
    kinds = ["seconds", "peaks", "activations", "ratios", "phases", "drift"]
    assert found == [
        *(f"card-{kind}.png" for kind in kinds),
        *(f"card-2-{kind}.png" for kind in ("seconds", "peaks", "activations", "phases")),
    ]


def test_what_is_drawn_is_of_the_file(tmp_path: Path) -> None:
    (_, draw, group), *_ = pictures(_results(tmp_path), tmp_path)
    assert group.records.keys() == groups(sweep((64, 128)))[0].records.keys()
    assert points_of(figure_of(draw, group).axes[0])["stock fp32"] == [(64, 6.4), (128, 12.8)]


def test_draws(tmp_path: Path) -> None:
    path, draw, group = next(iter(pictures(_results(tmp_path), tmp_path)))
    write(path, draw, group)
    assert path.stat().st_size > 10_000 and (tmp_path / "card-seconds-dark.png").stat().st_size > 10_000
