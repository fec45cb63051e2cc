"""Drawings of a sweep's records, for the pages of `report` and for committed pictures."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Any

from ..system.style import Drawing, Theme, plain_numbers
from .configuration import OURS
from .groups import ACTIVATIONS, Group
from .presets import STOCK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["DRIFT", "PHASES", "drawings"]

PHASES = {"stem": "blue", "trunk": "sky", "structure": "green", "heads": "orange"}
DRIFT = {"fp32_ca_rmsd_angstrom": "CA-RMSD to fp32, Å", "fp32_lddt_ca": "lDDT-CA to fp32, 0 to 1"}
_COLD, _WARM = ("blue", "sky", "green", "purple"), ("orange", "earth", "grey")
_MARKS = "osD^vP*"
_DASHES = ("-", "--", ":", "-.")
_FAR_APART = 5


def drawings(group: Group) -> dict[str, tuple[str, Drawing]]:
    """What can be drawn of a group: by name what it shows, for those who do not see it, and the drawing."""
    made: dict[str, tuple[str, Any]] = {}
    if any(group.curve(way, "seconds") for way in group.ways):
        made["seconds"] = ("Seconds of a fold against length", draw_seconds)
    if group.peak:
        made["peaks"] = ("Peak memory against length", draw_peaks)
    if any(group.curve(way, ACTIVATIONS) for way in group.ways):
        made["activations"] = ("Peak memory of activations against length", draw_activations)
    if any(group.ratios(way, STOCK, "seconds") for way in group.ways if way != STOCK):
        made["ratios"] = (f"Memory and seconds over those of {STOCK}, against length", draw_ratios)
    if _phased(group):
        made["phases"] = ("Seconds of the phases of a fold", draw_phases)
    if any(group.over_chains(way, name) for way in group.ways for name in DRIFT):
        made["drift"] = ("Differences from the fold in fp32", draw_drift)
    return {name: (about, _of(group, draw)) for name, (about, draw) in made.items()}


def _of(group: Group, draw: Any) -> Drawing:
    return lambda figure, theme: draw(group, figure, theme)


def draw_seconds(group: Group, figure: Figure, theme: Theme) -> None:
    """Median seconds of a fold against length, each with a bar from the fastest to the slowest."""
    axes = _lines(group, figure, theme, "seconds", "seconds of a fold, median", 1)
    for way in group.ways:
        for length, middle in group.curve(way, "seconds"):
            taken = group.values(way, length, "seconds")
            off = [[middle - min(taken)], [max(taken) - middle]]
            axes.errorbar([length], [middle], yerr=off, color=_style(group, theme, way)["color"], linewidth=1)
    figure.suptitle(f"Seconds: {group.title}", x=0.01, ha="left")


def draw_peaks(group: Group, figure: Figure, theme: Theme) -> None:
    """Peak memory against length."""
    assert group.peak is not None
    _lines(group, figure, theme, group.peak, f"GiB, {group.peak.partition('_')[0]}", 2**30)
    figure.suptitle(f"Peak memory: {group.title}", x=0.01, ha="left")


def draw_activations(group: Group, figure: Figure, theme: Theme) -> None:
    """Peak of the tensors that a fold makes against length."""
    _lines(group, figure, theme, ACTIVATIONS, "GiB above the weights", 2**30)
    figure.suptitle(f"Peak of activations: {group.title}", x=0.01, ha="left")


def _lines(group: Group, figure: Figure, theme: Theme, name: str, label: str, unit: float) -> Axes:
    """A line for each way, and a cross at the top for each fold that there was no end of."""
    figure.set_size_inches(7.6, 3.6 + _legend_inches(group.ways))
    axes = figure.subplots()
    axes.set(xscale="log", xlabel="residues", ylabel=label, xticks=group.lengths)
    plain_numbers(axes.xaxis)
    for way in group.ways:
        curve = group.curve(way, name)
        places = [n for n, _ in curve], [value / unit for _, value in curve]
        axes.plot(*places, label=way, **_style(group, theme, way))
    _scale(axes, [value for way in group.ways for _, value in group.curve(way, name)])
    _crosses(group, axes, theme)
    figure.legend(loc="outside lower left", ncols=2)
    return axes


def _scale(axes: Axes, values: list[float]) -> None:
    """Logarithmic where values are far apart, else from zero; a fifth of the height is left for crosses."""
    from matplotlib.ticker import LogLocator

    if min(values) <= 0 or max(values) / min(values) < _FAR_APART:
        axes.set_ylim(0, 1.25 * axes.get_ylim()[1])
        return
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * (high / low) ** 0.25)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    plain_numbers(axes.yaxis)


def _crosses(group: Group, axes: Axes, theme: Theme) -> None:
    """At the top, those of each way a little lower than those of the one before."""
    lost = [way for way in group.ways if group.lost(way)]
    if lost:
        axes.set_title("x marks no fold: out of memory, refused, out of time or failed", color=theme.muted, fontsize=9)
    for number, way in enumerate(lost):
        height = 0.97 - number * min(0.045, 0.15 / len(lost))
        style = {"color": _style(group, theme, way)["color"], "markersize": 6, "markeredgewidth": 1.8}
        lengths = group.lost(way)
        axes.plot(lengths, [height] * len(lengths), "x", transform=axes.get_xaxis_transform(), **style)


def draw_ratios(group: Group, figure: Figure, theme: Theme) -> None:
    """Each way over STOCK: a panel for memory, activations and seconds, as far as they were measured."""
    ways = [way for way in group.ways if way != STOCK]
    quantities = {"peak memory": group.peak, "activations": ACTIVATIONS, "seconds of a fold": "seconds"}
    panels = {
        title: found
        for title, name in quantities.items()
        if name and any(found := {way: group.ratios(way, STOCK, name) for way in ways}.values())
    }
    figure.set_size_inches(7.6, 3.4 + _legend_inches(ways))
    for number, (title, found) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(1, len(panels), number)
        for way, ratios in zip(ways, found, strict=True):
            axes.plot([n for n, _ in ratios], [ratio for _, ratio in ratios], label=way, **_style(group, theme, way))
        axes.axhline(1, color=theme.text, linewidth=1)
        axes.set(xscale="log", xlabel="residues", title=title)
        axes.set_xticks(sorted({n for ratios in found for n, _ in ratios}))
        axes.set_ylim(0, max(1.15, axes.get_ylim()[1]))
        plain_numbers(axes.xaxis)
    figure.axes[0].set_ylabel(f"over that of {STOCK}")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower left", ncols=2)
    figure.suptitle(f"Over {STOCK}: {group.title}", x=0.01, ha="left")


def draw_phases(group: Group, figure: Figure, theme: Theme) -> None:
    """Median seconds of each phase at the greatest length that has them; a peer's fold is not divided."""
    length = _phased(group)
    ways = [way for way in group.ways if group.values(way, length, "seconds")]
    figure.set_size_inches(7.6, 1.3 + 0.32 * len(ways))
    axes = figure.subplots()
    for place, way in enumerate(ways):
        begin = 0.0
        for phase, color in PHASES.items():
            taken = group.values(way, length, f"{phase}_seconds")
            seconds = statistics.median(taken) if taken else 0.0
            axes.barh(place, seconds, left=begin, color=theme.colors[color], edgecolor=theme.page, linewidth=0.5)
            begin += seconds
        if not begin:
            axes.barh(place, dict(group.curve(way, "seconds"))[length], color=theme.colors["grey"])
    labels = {**PHASES, "the whole fold": "grey"} if any(not way.startswith(OURS) for way in ways) else PHASES
    for name, color in labels.items():
        axes.barh(0, 0, color=theme.colors[color], label=name)
    axes.set_yticks(range(len(ways)), ways)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("seconds")
    figure.legend(loc="outside lower left", ncols=len(labels))
    figure.suptitle(f"{length} residues: {group.title}", x=0.01, ha="left")


def _phased(group: Group) -> int:
    """The greatest length with samples of phases; 0 if there is none."""
    has = (n for n in group.lengths if any(group.values(way, n, "trunk_seconds") for way in group.ways))
    return max(has, default=0)


def draw_drift(group: Group, figure: Figure, theme: Theme) -> None:
    """A point for each chain, and a bar at the median of each way."""
    ways = [way for way in group.ways if any(group.over_chains(way, name) for name in DRIFT)]
    figure.set_size_inches(7.6, 1.2 + 0.32 * len(ways))
    for axes, (name, label) in zip(figure.subplots(1, 2, sharey=True), DRIFT.items(), strict=True):
        for place, way in enumerate(ways):
            values = group.over_chains(way, name)
            if values:
                color = _style(group, theme, way)["color"]
                axes.plot(values, [place] * len(values), "o", color=color, alpha=0.7, markeredgewidth=0)
                axes.plot([statistics.median(values)], [place], "|", color=color, markersize=15, markeredgewidth=2)
        axes.set_yticks(range(len(ways)), ways)
        axes.set(xlabel=label, ylim=(len(ways) - 0.5, -0.5))
    figure.suptitle(f"Beside itself in fp32: {group.title}", x=0.01, ha="left")


def _style(group: Group, theme: Theme, way: str) -> dict[str, Any]:
    """Ours in cold colours, others in warm ones; those that have a colour in common differ in mark and dashes."""
    is_ours = way.startswith(OURS)
    number = [each for each in group.ways if each.startswith(OURS) == is_ours].index(way)
    names = _COLD if is_ours else _WARM
    return {
        "color": theme.colors[names[number % len(names)]],
        "marker": _MARKS[number % len(_MARKS)],
        "linestyle": _DASHES[number // len(names) % len(_DASHES)],
    }


def _legend_inches(ways: list[str]) -> float:
    return 0.2 * math.ceil(len(ways) / 2)
