"""What is said of cards is what the records say, and what the planner says now."""

from __future__ import annotations

import json

import pytest

from benchmarks import planning
from benchmarks.pages import filled
from lowmem_fold.bench.records import read_measurements
from lowmem_fold.planning import cards
from lowmem_fold.planning.plan import Planner

MEASUREMENTS = list(read_measurements(planning.RESULTS))


def of(benchmark: str) -> list:
    return [m for m in MEASUREMENTS if m.benchmark == benchmark]


def test_the_page_says_what_the_records_say() -> None:
    page = planning.PAGE.read_text()
    assert filled(page, {"cards": planning.text(MEASUREMENTS)}) == page
    assert filled(page, {"cards": "other"}) != page


def test_a_mark_that_is_missing_is_told() -> None:
    with pytest.raises(ValueError, match="'cards' is there 0 times"):
        filled("<!-- other: written by python -m benchmarks.x -->\n<!-- other: end -->", {"cards": "text"})


def test_the_table_is_that_of_the_records() -> None:
    """Read again without the code that writes it."""
    records = [json.loads(line) for line in planning.RESULTS.read_text().splitlines()]
    expected = {
        (r["requested"]["precision"], r["requested"]["placement"]): r["samples"]["residues"]
        for r in records
        if r["benchmark"] == "planning-cards"
    }
    section = planning.PAGE.read_text().split("<!-- cards: ")[1]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines()]
    table = {row[0]: [cell.replace(",", "").replace("-", "0") for cell in row[1:]] for row in rows}
    for precision in cards.PRECISIONS:
        resident, streamed = expected[precision, "resident"], expected[precision, "streamed"]
        assert table[precision] == [f"{a} / {b}" for a, b in zip(resident, streamed, strict=True)]
    assert table["stock, fp16, chunk_size 64"] == [str(n) for n in expected["fp16", "chunk_size 64"]]


def test_the_peaks_are_still_what_is_planned(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change of the engine's memory has to be recorded again."""
    monkeypatch.setenv("LOWMEM_FOLD_CACHE", str(tmp_path))
    planner = Planner(None, planning.DEFAULT_MODEL, "fp16", "cuda", None, None, 3)
    for length in (256, 1024):
        planned = {each.placement: each.peak_bytes for each in planner.plans(length, presets=False).plans}
        recorded = {
            m.requested["placement"]: m.samples["peak_bytes"][0]
            for m in of("planning-peaks")
            if m.requested["code"] == "lowmem_fold" and m.requested["length"] == length
        }
        assert planned == {placement: pytest.approx(size, rel=0.005) for placement, size in recorded.items()}


def test_planned_is_within_five_percent_of_allocated() -> None:
    found = of("planning-accuracy")
    assert {m.requested["precision"] for m in found} == {"fp32", "int8", "bnb-nf4", "pair=fp16"}
    for m in found:
        assert m.samples["planned_bytes"][0] == pytest.approx(m.samples["allocated_bytes"][0], rel=0.05)


def test_a_16_gb_card_holds_about_900_residues_of_stock() -> None:
    """As is reported of the T4, for the stem in half precision and chunks: our ruler says nearly so."""
    (stock,) = [
        m
        for m in of("planning-cards")
        if m.requested["precision"] == "fp16" and m.requested["placement"] == "chunk_size 64"
    ]
    residues = dict(zip(stock.samples["card_bytes"], stock.samples["residues"], strict=True))
    assert residues[16 * 10**9] == pytest.approx(900, rel=0.1)
