"""The picture shows what the records hold."""

from __future__ import annotations

import json
from dataclasses import replace

from lowmem_fold.bench.records import read_measurements
from plots.longest import CARDS_GB, FAMILIES, RESULTS, STOCK, draw, longest
from tests.plots.drawn import figure_of


def _expected(code: str, precisions: set[str], placements: set[str]) -> dict[int, int]:
    """The most residues at each card; read again without the code that the plot reads with."""
    found: dict[int, int] = dict.fromkeys(CARDS_GB, 0)
    for record in map(json.loads, RESULTS.read_text().splitlines()):
        asked, samples = record["requested"], record["samples"]
        if record["benchmark"] == "planning-cards" and asked["code"] == code and asked["precision"] in precisions:
            for size, residues in zip(samples["card_bytes"], samples["residues"], strict=True):
                if asked["placement"] in placements and size / 1e9 in found:
                    found[round(size / 1e9)] = max(found[round(size / 1e9)], residues)
    return found


def test_bars_are_the_records() -> None:
    """Stock by the better of its precisions, ours by the best of its placements."""
    ((title, (stock, same, half)),) = longest(read_measurements(RESULTS))
    ours = {"resident", "staged", "streamed"}
    assert title == "ESMFold v1"
    assert stock.residues == _expected(STOCK, {"fp32", "fp16"}, {"chunk_size 64"})
    assert same.residues == _expected("lowmem_fold", {"fp32"}, ours)
    assert half.residues == _expected("lowmem_fold", {"fp16,pair=fp16"}, ours)
    assert stock.residues[8] == 0 < stock.residues[12] < same.residues[8] < half.residues[8]


def test_each_bar_has_its_number_and_what_does_not_fit_says_so() -> None:
    found = longest(read_measurements(RESULTS))
    (axes,) = figure_of(draw, found).axes
    expected = [residues for bars in found[0][1] for residues in bars.residues.values()]
    assert [bar.get_height() for bar in axes.patches] == expected
    said = [text.get_text() for text in axes.texts]
    assert said == [f"{residues:,}" if residues else "does not fit" for residues in expected]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["8 GB", "12 GB", "16 GB", "24 GB"]
    assert "planned" in axes.get_figure().get_suptitle()


def test_another_family_has_a_panel_of_its_own() -> None:
    records = read_measurements(RESULTS)
    of_other = [
        replace(m, requested={**m.requested, "model": "other"}) for m in records if m.benchmark == "planning-cards"
    ]
    families = (*FAMILIES, FAMILIES[0]._replace(title="Other", model="other"))
    assert [title for title, _ in longest(records, families)] == ["ESMFold v1"]
    first, second = figure_of(draw, longest([*records, *of_other], families)).axes
    assert (first.get_title(loc="left") or first.get_title(), len(second.patches)) == ("ESMFold v1", len(first.patches))
