"""The pictures of a sweep show what its records hold."""

from __future__ import annotations

from dataclasses import replace

import pytest
from matplotlib.figure import Figure

from lowmem_fold.bench.groups import Group, groups
from lowmem_fold.bench.pictures import DRIFT, PHASES, drawings
from lowmem_fold.system.style import DARK, LIGHT
from tests.bench.sweeps import PARTS, fold, sweep
from tests.plots.drawn import points_of

WAYS = {"stock fp32": (1, 1), "lowmem_fold fp32, resident": (0.5, 0.25), "lowmem_fold int8, resident": (0.6, 0.2)}


@pytest.fixture
def group() -> Group:
    assert list(WAYS.values()) == list(PARTS.values())
    return groups(sweep())[0]


def drawn(group: Group, name: str) -> Figure:
    figure = Figure()
    drawings(group)[name][1](figure, LIGHT)
    return figure


def test_seconds_and_peaks(group: Group) -> None:
    """The median of three samples is the first of them; bytes are length squared times a part of a MiB."""
    seconds, peaks = (points_of(drawn(group, name).axes[0]) for name in ("seconds", "peaks"))
    assert seconds == {
        way: [(n, pytest.approx(time * n / 10)) for n in (64, 128, 256)] for way, (time, _) in WAYS.items()
    }
    assert peaks == {
        way: [(n, pytest.approx(size * n**2 / 1024)) for n in (64, 128, 256)] for way, (_, size) in WAYS.items()
    }


def test_activations(group: Group) -> None:
    """A sixteenth of the peak, as the records are made."""
    found = points_of(drawn(group, "activations").axes[0])
    assert found["stock fp32"] == [(n, n**2 / 1024 / 16) for n in (64, 128, 256)]


def test_bars_reach_from_the_fastest_to_the_slowest(group: Group) -> None:
    (axes,) = drawn(group, "seconds").axes
    ends = [tuple(bars.lines[2][0].get_segments()[0].ravel()) for bars in axes.containers]
    assert max(ends) == pytest.approx((256, 23.04, 256, 30.72))  # of stock's 25.6, 23.04 and 30.72
    assert len(ends) == 9


def test_near_values_begin_at_zero_and_far_ones_are_logarithmic() -> None:
    near, far = (drawn(groups([fold(length=n) for n in lengths])[0], "peaks") for lengths in ((100, 120), (64, 256)))
    assert near.axes[0].get_yscale() == "linear" and near.axes[0].get_ylim()[0] == 0
    assert far.axes[0].get_yscale() == "log"


def test_what_gave_no_fold_is_crossed(group: Group) -> None:
    (axes,) = drawn(group, "seconds").axes
    (cross,) = (line for line in axes.lines if line.get_marker() == "x")
    assert list(cross.get_xdata()) == [512] and "out of memory" in axes.get_title(loc="left") + axes.get_title()


def test_ratios_leave_the_reference_out(group: Group) -> None:
    memory, activations, seconds = map(points_of, drawn(group, "ratios").axes)
    for way in list(WAYS)[1:]:
        assert seconds[way] == [(n, pytest.approx(WAYS[way][0])) for n in (64, 128, 256)]
        assert memory[way] == [(n, pytest.approx(WAYS[way][1])) for n in (64, 128, 256)]
        assert activations[way] == [(n, pytest.approx(ratio)) for n, ratio in memory[way]]
    assert "stock fp32" not in memory


def test_phases_add_up(group: Group) -> None:
    """At the greatest length; stock's fold in one piece."""
    figure = drawn(group, "phases")
    (axes,) = figure.axes
    widths: dict[float, float] = {}
    for bar in axes.patches:
        row = bar.get_y() + bar.get_height() / 2
        widths[row] = widths.get(row, 0.0) + bar.get_width()
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert {names[round(row)]: width for row, width in widths.items()} == {
        way: pytest.approx(time * 25.6) for way, (time, _) in WAYS.items()
    }
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [*PHASES, "the whole fold"]


def test_drift_has_a_point_for_each_chain(group: Group) -> None:
    for axes, name in zip(drawn(group, "drift").axes, DRIFT, strict=True):
        values, median = (list(line.get_xdata()) for line in axes.lines)
        assert values == group.over_chains("lowmem_fold int8, resident", name) and len(values) == 3
        assert median == [sorted(values)[1]]


def test_only_what_was_measured_is_drawn() -> None:
    stock, nothing = fold(("stock fp32", None, None)), replace(fold(), status="timeout", reason="x", samples={})
    assert list(drawings(groups([stock])[0])) == ["seconds", "peaks", "activations"]
    assert drawings(groups([nothing])[0]) == {}
    assert set(drawings(groups(sweep())[0])) == {"seconds", "peaks", "activations", "ratios", "phases", "drift"}


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_each_way_looks_different(theme) -> None:
    """However many there are: colour, mark and dashes together."""
    rows = [fold(requested={"chunk_size": rows}) for rows in range(1, 25)]
    (group,) = groups([*rows, *sweep((64,))])
    figure = Figure()
    drawings(group)["peaks"][1](figure, theme)
    lines = [line for line in figure.axes[0].lines if line.get_marker() != "x"]
    looks = {(line.get_color(), line.get_marker(), line.get_linestyle()) for line in lines}
    assert len(looks) == len(lines) == 27
