"""Drawings of a sweep's records, for the pages of `report` and for committed pictures."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..system.style import Drawing, Theme
from .configuration import OURS
from .groups import ACTIVATIONS, Group
from .presets import STOCK
from .words import PHASE_WORDS, group_words, way_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["DRIFT", "PHASES", "drawings"]

PHASES = {"stem": "blue", "trunk": "sky", "structure": "green", "heads": "orange"}
DRIFT = {"fp32_ca_rmsd_angstrom": "CA-RMSD to fp32, Å", "fp32_lddt_ca": "lDDT-CA to fp32, 0 to 1"}
#: Why there is no bar.
_LOST = {"oom": "out of memory", "refused": "cannot run", "timeout": "out of time", "failed": "failed"}
_COLUMNS = 3
_GIB = 2**30
#: Peaks of a process without and with the files that it maps.
_OWN, _WHOLE = "anonymous_peak_bytes", "resident_peak_bytes"


class Panel(NamedTuple):
    """Bars for some ways: how long, from where to where samples reach, and what is written where there is no bar.

    more: how much longer the bar is in a pale colour.
    """

    title: str
    values: Mapping[str, float]
    ranges: Mapping[str, tuple[float, float]]
    lost: Mapping[str, str]
    more: Mapping[str, float] = {}


def drawings(group: Group) -> dict[str, tuple[str, Drawing]]:
    """What can be drawn of a group: by name what it shows, for those who do not see it, and the drawing."""
    made: dict[str, tuple[str, Any]] = {}
    if any(group.curve(way, "seconds") for way in group.ways):
        made["seconds"] = ("Seconds of a fold", draw_seconds)
    if group.peak:
        made["peaks"] = ("Peak memory of a fold", draw_peaks)
    if any(group.ratios(way, STOCK, "seconds") for way in group.ways if way != STOCK):
        made["ratios"] = (f"Memory and seconds compared with {STOCK}", draw_ratios)
    if _phased(group):
        made["phases"] = ("Seconds of the phases of a fold", draw_phases)
    if any(group.over_chains(way, name) for way in group.ways for name in DRIFT):
        made["drift"] = ("Differences from the fold in fp32", draw_drift)
    return {name: (about, _of(group, draw)) for name, (about, draw) in made.items()}


def _of(group: Group, draw: Any) -> Drawing:
    return lambda figure, theme: draw(group, figure, theme)


def draw_seconds(group: Group, figure: Figure, theme: Theme) -> None:
    """Median seconds of a fold at each length, with a line from the fastest to the slowest."""
    _draw_panels(_by_length(group, "seconds", 1), group.ways, figure, theme, "seconds of a fold, median", _short)
    figure.suptitle(f"Seconds of a fold: {group_words(group)}", x=0.01, ha="left")


def draw_peaks(group: Group, figure: Figure, theme: Theme) -> None:
    """Peak memory at each length."""
    assert group.peak is not None
    where = "of the card" if group.peak == "allocated_peak_bytes" else "(RAM)"
    panels, label = _by_length(group, group.peak, _GIB), f"GiB of memory {where}"
    if group.peak == _OWN:
        panels = [panel._replace(more=_mapped(group, n)) for panel, n in zip(panels, group.lengths, strict=True)]
        label += " + mapped files (pale: weights, libraries), which the system takes back when it needs them"
    _draw_panels(panels, group.ways, figure, theme, label, lambda value: f"{value:.2f}")
    figure.suptitle(f"Peak memory {where}: {group_words(group)}", x=0.01, ha="left")


def _mapped(group: Group, length: int) -> dict[str, float]:
    """GiB of mapped files in memory at its peak, by way."""
    sizes = {way: (group.values(way, length, _OWN), group.values(way, length, _WHOLE)) for way in group.ways}
    return {way: max(0.0, max(whole) - max(own)) / _GIB for way, (own, whole) in sizes.items() if own and whole}


def draw_ratios(group: Group, figure: Figure, theme: Theme) -> None:
    """Each way over STOCK at the greatest length of both: memory, activations and seconds, as far as measured."""
    ways = [way for way in group.ways if way != STOCK]
    quantities = {"peak memory": group.peak, "activations": ACTIVATIONS, "seconds of a fold": "seconds"}
    panels = []
    for title, name in quantities.items():
        found = {way: ratios for way in ways if name and (ratios := group.ratios(way, STOCK, name))}
        if found:
            length = max(n for ratios in found.values() for n, _ in ratios)
            values = {way: dict(ratios)[length] for way, ratios in found.items() if length in dict(ratios)}
            panels.append(Panel(f"{title}, {length:,} residues", values, {}, {}))
    _draw_panels(panels, ways, figure, theme, f"{STOCK} = 1", lambda value: f"{value:.2f}")
    for axes in figure.axes:
        axes.axvline(1, color=theme.text, linewidth=1)
    figure.suptitle(f"Compared with {STOCK}: {group_words(group)}", x=0.01, ha="left")


def _by_length(group: Group, name: str, unit: float) -> list[Panel]:
    """A panel for each length."""
    panels = []
    for length in group.lengths:
        samples = {way: found for way in group.ways if (found := group.values(way, length, name))}
        values = {way: dict(group.curve(way, name))[length] / unit for way in samples}
        ranges = {way: (min(found) / unit, max(found) / unit) for way, found in samples.items() if name == "seconds"}
        lost = {way: _LOST[group.records[way, length].status] for way in group.ways if length in group.lost(way)}
        panels.append(Panel(f"{length:,} residues", values, ranges, lost))
    return panels


def _draw_panels(
    panels: Sequence[Panel],
    ways: Sequence[str],
    figure: Figure,
    theme: Theme,
    label: str,
    written: Callable[[float], str],
) -> None:
    """Ways from top to bottom, ours in blue and others in orange, each bar with its number."""
    shown = [way for way in ways if any(way in panel.values or way in panel.lost for panel in panels)]
    columns = 2 if len(panels) == 4 else min(_COLUMNS, len(panels))  # 2 and 2 rather than 3 and 1
    rows = math.ceil(len(panels) / columns)
    figure.set_size_inches(9.4, 0.7 + rows * (0.75 + 0.24 * len(shown)))
    for number, panel in enumerate(panels):
        axes = figure.add_subplot(rows, columns, number + 1)
        _draw_bars(axes, theme, panel, shown, written)
        axes.set_title(panel.title)
        axes.set_yticks(range(len(shown)), [way_words(way) for way in shown] if number % columns == 0 else [])
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.grid(axis="y", visible=False)
    figure.supxlabel(label, fontsize=10)


def _draw_bars(axes: Axes, theme: Theme, panel: Panel, ways: Sequence[str], written: Callable[[float], str]) -> None:
    ground = {"facecolor": theme.page, "edgecolor": "none", "pad": 0.5}
    place: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": 8, "bbox": ground}
    for row, way in enumerate(ways):
        if way in panel.values:
            value = panel.values[way]
            low, high = panel.ranges.get(way, (value, value))
            color = theme.colors["blue" if way.startswith(OURS) else "orange"]
            off = [[value - low], [high - value]] if high > low else None
            axes.barh(row, value, 0.72, color=color, xerr=off, ecolor=theme.text, error_kw={"elinewidth": 1})
            more = panel.more.get(way, 0.0)
            axes.barh(row, more, 0.72, left=value, color=color, alpha=0.3)
            text = written(value) + (f" + {written(more)}" if panel.more else "")
            axes.annotate(text, (max(high, value + more), row), xytext=(4, 0), **place)
        elif way in panel.lost:
            axes.annotate(panel.lost[way], (0, row), xytext=(4, 0), color=theme.muted, **place)
    ends = [max(v + panel.more.get(way, 0), panel.ranges.get(way, (0, 0))[1]) for way, v in panel.values.items()]
    axes.set_xlim(0, (1.6 if panel.more else 1.28) * max(ends, default=1))


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}"


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
    labels = {PHASE_WORDS[phase]: color for phase, color in PHASES.items()}
    if any(not way.startswith(OURS) for way in ways):
        labels["the whole fold"] = "grey"
    for name, color in labels.items():
        axes.barh(0, 0, color=theme.colors[color], label=name)
    axes.set_yticks(range(len(ways)), map(way_words, ways))
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("seconds")
    figure.legend(loc="outside lower left", ncols=len(labels))
    figure.suptitle(f"{length} residues: {group_words(group)}", x=0.01, ha="left")


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
                color = theme.colors["blue" if way.startswith(OURS) else "orange"]
                axes.plot(values, [place] * len(values), "o", color=color, alpha=0.7, markeredgewidth=0)
                axes.plot([statistics.median(values)], [place], "|", color=color, markersize=15, markeredgewidth=2)
        axes.set_yticks(range(len(ways)), map(way_words, ways))
        axes.set(xlabel=label, ylim=(len(ways) - 0.5, -0.5))
    figure.suptitle(f"Compared with the fold in fp32: {group_words(group)}", x=0.01, ha="left")
