"""The longest protein that fits a card, by the size of its memory, from the `planning-cards` records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lowmem_fold.bench.records import Measurement, read_measurements
from lowmem_fold.system.style import Theme, thousands

from .style import write as write_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["CARDS_GB", "FAMILIES", "PICTURE", "RESULTS", "Bars", "Family", "Series", "draw", "longest", "write"]

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results" / "planning.jsonl"
PICTURE = Path(__file__).parent / "longest.png"
CARDS_GB = (8, 12, 16, 24)
STOCK = "transformers EsmForProteinFolding"


class Series(NamedTuple):
    """Bars of one colour: the longest of these settings at each card.

    placements: which of the records' count; None is any of them.
    """

    label: str
    color: str
    code: str
    precisions: tuple[str, ...]
    placements: tuple[str, ...] | None = None


class Family(NamedTuple):
    """A panel: a model, by the name that its records have, and its series."""

    title: str
    model: str
    series: tuple[Series, ...]


class Bars(NamedTuple):
    """What is drawn of a series: residues by the size of the card in GB, 0 where nothing fits."""

    label: str
    color: str
    residues: dict[int, int]


FAMILIES = (
    Family(
        "ESMFold v1",
        "facebook/esmfold_v1",
        (
            Series("stock ESMFold (transformers)", "orange", STOCK, ("fp32", "fp16"), ("chunk_size 64",)),
            Series("lowmem_fold, the same structures", "blue", "lowmem_fold", ("fp32",)),
            Series("lowmem_fold, half-precision pair state", "sky", "lowmem_fold", ("fp16,pair=fp16",)),
        ),
    ),
)
_NOTE = (
    "Planned, not measured on cards. Stock: the best of its settings that fit (float32, or its language model in"
    " float16; chunk_size 64).\nlowmem_fold: weights streamed from main memory; in float32, or with language model"
    " and pair state in float16."
)
_WIDTH = 0.27


def longest(measurements: Sequence[Measurement], families: Sequence[Family] = FAMILIES) -> list[tuple[str, list[Bars]]]:
    """For each family that has records: its title, and the bars of its series."""
    found = []
    for family in families:
        records = [m for m in measurements if m.benchmark == "planning-cards" and m.requested["model"] == family.model]
        if records:
            found.append((family.title, [_bars(series, records) for series in family.series]))
    return found


def _bars(series: Series, records: Sequence[Measurement]) -> Bars:
    residues = dict.fromkeys(CARDS_GB, 0)
    for m in records:
        asked = m.requested
        if (
            asked["code"] == series.code
            and asked["precision"] in series.precisions
            and (series.placements is None or asked["placement"] in series.placements)
        ):
            of_card = dict(zip(m.samples["card_bytes"], m.samples["residues"], strict=True))
            residues = {size: max(most, int(of_card[size * 10**9])) for size, most in residues.items()}
    return Bars(series.label, series.color, residues)


def draw(found: Sequence[tuple[str, list[Bars]]], figure: Figure, theme: Theme) -> None:
    """A panel for each family, a group of bars for each card."""
    figure.set_size_inches(7.6 * len(found), 4.4)
    panels = figure.subplots(1, len(found), squeeze=False)[0]
    for axes, (title, series) in zip(panels, found, strict=True):
        _draw_family(axes, theme, series)
        axes.set_title(title if len(found) > 1 else "", fontweight="bold")
    panels[0].set_ylabel("residues")
    names = " and ".join(title for title, _ in found)
    figure.suptitle(f"Longest protein on your card: {names} (planned)", x=0.01, ha="left", fontweight="bold")
    figure.supxlabel(_NOTE, x=0.01, ha="left", fontsize=8, color=theme.muted)


def _draw_family(axes: Axes, theme: Theme, series: Sequence[Bars]) -> None:
    top = max(max(bars.residues.values()) for bars in series)
    for number, bars in enumerate(series):
        for place, most in enumerate(bars.residues.values()):
            x = place + (number - (len(series) - 1) / 2) * _WIDTH
            label = bars.label if place == 0 else None
            axes.bar(x, most, 0.92 * _WIDTH, color=theme.colors[bars.color], label=label)
            if most:
                axes.annotate(
                    f"{most:,}", (x, most), xytext=(0, 3), textcoords="offset points", ha="center", fontsize=9
                )
            else:
                ground = {"facecolor": theme.page, "edgecolor": "none", "pad": 1}
                style: dict[str, Any] = {"rotation": 90, "ha": "center", "va": "bottom", "fontsize": 9, "bbox": ground}
                axes.text(x, 0.02 * top, "does not fit", color=theme.colors[bars.color], **style)
    axes.set(xticks=range(len(CARDS_GB)), xticklabels=[f"{size} GB" for size in CARDS_GB], ylim=(0, 1.1 * top))
    axes.set_xlabel("memory of the graphics card")
    axes.grid(axis="x", visible=False)
    thousands(axes.yaxis)
    axes.legend(loc="upper left", frameon=True, facecolor=theme.page, edgecolor="none", framealpha=1)


def write() -> None:
    """Draw the committed records."""
    write_picture(PICTURE, draw, longest(read_measurements(RESULTS)))
