"""Pictures of committed sweeps: seconds, peak memory, both compared with stock, phases, and drift.

Of each file in `benchmarks/results/` that `lowmem-fold bench` has written: `NAME.jsonl` is drawn as `NAME-seconds.png`
and so on, and where the file holds several models or machines, those after the first as `NAME-2-seconds.png`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lowmem_fold.bench.groups import RANDOM, Group, groups
from lowmem_fold.bench.pictures import drawings
from lowmem_fold.bench.records import read_measurements
from lowmem_fold.system.style import Theme

from .style import write as write_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["pictures", "write"]

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results"

Picture = tuple[Path, Callable[..., None], Group]


def pictures(results: Path = RESULTS, folder: Path = Path(__file__).parent) -> Iterator[Picture]:
    """Each with its path, what draws it and what is drawn."""
    for path in sorted(results.glob("*.jsonl")):
        for number, group in enumerate(groups(read_measurements(path)), start=1):
            name = path.stem if number == 1 else f"{path.stem}-{number}"
            for kind in drawings(group):
                if kind == "drift" and group.model in RANDOM:
                    continue
                yield folder / f"{name}-{kind}.png", _drawing(kind), group


def _drawing(kind: str) -> Callable[[Group, Figure, Theme], None]:
    return lambda group, figure, theme: drawings(group)[kind][1](figure, theme)


def write() -> None:
    """Draw the committed records."""
    for picture in pictures():
        write_picture(*picture)
        print(picture[0])
