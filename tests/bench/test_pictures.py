"""The pictures of a sweep show what its records hold."""

from __future__ import annotations

from dataclasses import replace

import pytest
from matplotlib.figure import Figure

from lowmem_fold.bench.groups import Group, groups
from lowmem_fold.bench.pictures import DRIFT, PHASES, drawings
from lowmem_fold.bench.words import PHASE_WORDS
from lowmem_fold.system.style import DARK, LIGHT
from tests.bench.sweeps import PARTS, fold, sweep
from tests.plots.drawn import bars_of

#: In words; of seconds and bytes.
WAYS = {"stock fp32": (1, 1), "lowmem_fold fp32": (0.5, 0.25), "lowmem_fold int8": (0.6, 0.2)}
LENGTHS = (64, 128, 256)


@pytest.fixture
def group() -> Group:
    assert list(WAYS.values()) == list(PARTS.values())
    return groups(sweep())[0]


def drawn(group: Group, name: str) -> Figure:
    figure = Figure()
    drawings(group)[name][1](figure, LIGHT)
    return figure


def texts(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def title(axes) -> str:
    return axes.get_title(loc="left") or axes.get_title()


def test_seconds_and_peaks(group: Group) -> None:
    """The median of three samples is the first of them; bytes are length squared times a part of a MiB."""
    for length, seconds, peaks in zip(LENGTHS, drawn(group, "seconds").axes, drawn(group, "peaks").axes, strict=False):
        assert title(seconds) == title(peaks) == f"{length} residues"
        assert bars_of(seconds) == {way: pytest.approx(time * length / 10) for way, (time, _) in WAYS.items()}
        assert bars_of(peaks) == {way: pytest.approx(size * length**2 / 1024) for way, (_, size) in WAYS.items()}


def test_each_bar_has_its_number(group: Group) -> None:
    assert texts(drawn(group, "seconds").axes[0]) == ["3.20", "3.84", "6.40"]
    assert texts(drawn(group, "seconds").axes[2]) == ["12.8", "15.4", "25.6"]
    assert texts(drawn(group, "peaks").axes[0]) == ["1.00", "0.80", "4.00"]


def test_numbers_and_bars_are_within_their_panel(group: Group) -> None:
    for name in ("seconds", "peaks", "ratios"):
        for axes in drawn(group, name).axes:
            assert axes.get_xlim()[0] == 0 and all(bar.get_width() < 0.85 * axes.get_xlim()[1] for bar in axes.patches)


def test_lines_reach_from_the_fastest_to_the_slowest(group: Group) -> None:
    axes = drawn(group, "seconds").axes[2]
    ends = [
        bars.errorbar.lines[2][0].get_segments()[0][:, 0] for bars in axes.containers if getattr(bars, "errorbar", None)
    ]
    assert max(tuple(each) for each in ends if len(each)) == pytest.approx((23.04, 30.72))  # of 25.6, 23.04 and 30.72


def test_mapped_files_are_pale_and_counted_apart() -> None:
    """Only beside the process's own memory: what the system takes back is not what a fold needs."""
    sizes = {"anonymous_peak_bytes": [2 * 2**30], "resident_peak_bytes": [5 * 2**30]}
    (axes,) = drawn(groups([fold(samples=sizes)])[0], "peaks").axes
    own, mapped = axes.patches
    assert (own.get_width(), mapped.get_x(), mapped.get_width()) == (2, 2, 3)
    assert mapped.get_alpha() < 0.5 and texts(axes) == ["2.00 + 3.00"]


def test_what_gave_no_fold_says_so(group: Group) -> None:
    axes = drawn(group, "seconds").axes[3]
    assert title(axes) == "512 residues" and bars_of(axes) == {} and texts(axes) == ["out of memory"]


def test_many_lengths_have_several_rows_of_panels() -> None:
    """Each row with the ways at its left."""
    lengths = (64, 128, 256, 512, 1024)
    for count, expected in ((5, [True, False, False, True, False]), (4, [True, False, True, False])):
        figure = drawn(groups([fold(length=n) for n in lengths[:count]])[0], "seconds")
        assert [bool(axes.get_yticklabels()[0].get_text()) for axes in figure.axes] == expected


def test_ratios_leave_the_reference_out(group: Group) -> None:
    """At the greatest length that both have."""
    memory, activations, seconds = drawn(group, "ratios").axes
    expected = {way: parts for way, parts in WAYS.items() if way != "stock fp32"}
    assert bars_of(seconds) == {way: pytest.approx(time) for way, (time, _) in expected.items()}
    assert bars_of(memory) == {way: pytest.approx(size) for way, (_, size) in expected.items()}
    assert bars_of(activations) == pytest.approx(bars_of(memory))
    assert title(seconds) == "seconds of a fold, 256 residues"


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
    expected = [*(PHASE_WORDS[phase] for phase in PHASES), "the whole fold"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == expected


def test_drift_has_a_point_for_each_chain(group: Group) -> None:
    for axes, name in zip(drawn(group, "drift").axes, DRIFT, strict=True):
        values, median = (list(line.get_xdata()) for line in axes.lines)
        assert values == group.over_chains("lowmem_fold int8, resident", name) and len(values) == 3
        assert median == [sorted(values)[1]]


def test_only_what_was_measured_is_drawn() -> None:
    stock, nothing = fold(("stock fp32", None, None)), replace(fold(), status="timeout", reason="x", samples={})
    assert list(drawings(groups([stock])[0])) == ["seconds", "peaks"]
    assert drawings(groups([nothing])[0]) == {}
    assert set(drawings(groups(sweep())[0])) == {"seconds", "peaks", "ratios", "phases", "drift"}


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_ours_and_others_have_a_colour_each_and_every_way_a_row(theme) -> None:
    """However many there are."""
    (group,) = groups([*(fold(requested={"chunk_size": rows}) for rows in range(1, 25)), *sweep((64,))])
    figure = Figure()
    drawings(group)["peaks"][1](figure, theme)
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(set(names)) == len(names) == 27
    colors = {name.startswith("lowmem_fold"): set() for name in names}
    for axes in figure.axes:
        for bar in axes.patches:
            colors[names[round(bar.get_y() + bar.get_height() / 2)].startswith("lowmem_fold")].add(
                bar.get_facecolor()[:3]
            )
    assert all(len(found) == 1 for found in colors.values()) and colors[True] != colors[False]
