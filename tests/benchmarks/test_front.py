"""The tables of measured memory and time are those of the records."""

from __future__ import annotations

import json
import statistics
from dataclasses import replace

import pytest

from benchmarks import front, precision
from benchmarks.pages import filled
from lowmem_fold.bench.groups import groups, way_of
from lowmem_fold.bench.records import Measurement, read_measurements

SWEEP = read_measurements(front.RESULTS)
DRIFTS, VERIFIED = read_measurements(precision.RESULTS), read_measurements(front.VERIFIED)
RECORDS = [json.loads(line) for line in front.RESULTS.read_text().splitlines()]
INT8 = ("lowmem_fold", "int8", "resident")


@pytest.mark.parametrize(
    ("page", "section", "text"),
    [
        ("README.md", "table", front.text(SWEEP, DRIFTS, VERIFIED)),
        ("docs/memory.md", "measured", front.measured_text(SWEEP)),
    ],
    ids=["README", "memory"],
)
def test_the_pages_say_what_the_records_say(page: str, section: str, text: str) -> None:
    content = (front.ROOT / page).read_text()
    assert filled(content, {section: text}) == content
    assert filled(content, {section: "other"}) != content


def test_the_first_page_is_short() -> None:
    assert len((front.ROOT / "README.md").read_text().splitlines()) <= 120


def rows_of(text: str) -> list[list[str]]:
    return [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in text.splitlines() if "|" in line][2:]


def peak_gib(record: dict) -> float:
    samples = record["samples"]
    return max(*samples["load_anonymous_peak_bytes"], *samples["anonymous_peak_bytes"]) / 2**30


def test_the_lines_are_of_the_longest_protein() -> None:
    """Read again without the code that writes them."""
    chunked = {r["requested"]["length"] for r in RECORDS if r["requested"]["code"] == "stock chunk_size 64"}
    of_length = [r for r in RECORDS if r["requested"]["length"] == max(chunked)]
    found = {tuple(r["requested"][name] for name in ("code", "precision", "placement")): r for r in of_length}
    unchunked, chunked_one = (found.get((code, None, None)) for code in ("stock fp32", "stock chunk_size 64"))
    stock = unchunked if unchunked and unchunked["status"] == "ok" else chunked_one
    rows = rows_of((front.ROOT / "README.md").read_text().split("<!-- table: ")[1].split("\n\n")[0])
    ways = [
        ("stock fp32", None, None),
        ("stock chunk_size 64", None, None),
        ("lowmem_fold", "fp32", "streamed"),
        INT8,
        ("lowmem_fold", "fp32", "resident"),
    ]
    ways = [way for way in ways if way in found]
    assert len(rows) == len(ways) >= 4
    for row, way in zip(rows, ways, strict=True):
        if found[way]["status"] != "ok":
            assert row[2] == ""
            continue
        assert float(row[1].removesuffix(" GiB")) == pytest.approx(peak_gib(found[way]), abs=0.051)
        seconds, of_stock = (statistics.median(r["samples"]["seconds"]) for r in (found[way], stock))
        assert float(row[2]) == pytest.approx(seconds / of_stock, abs=0.0051)
    (int8,) = [m for m in DRIFTS if m.requested["precision"] == "int8"]
    assert rows[ways.index(INT8)][3] == f"{statistics.median(int8.samples['ca_rmsd_angstrom']):.2f} Å"


def test_every_record_has_a_line() -> None:
    rows = rows_of(front.measured_text(SWEEP))
    assert len(rows) == len({json.dumps(r["requested"]) for r in RECORDS})
    (int8,) = [r for r in RECORDS if tuple(r["requested"][k] for k in ("code", "precision", "placement")) == INT8][:1]
    (row,) = [row for row in rows if row[:2] == [str(int8["requested"]["length"]), "lowmem_fold, int8"]]
    assert float(row[2].removesuffix(" GiB")) == pytest.approx(peak_gib(int8), abs=0.051)
    assert row[4] == f"{int8['samples']['seconds'][0]:.1f}"


def test_what_does_not_fit_or_was_not_measured() -> None:
    """A longer protein for which stock ran out of memory in one way, and our int8 was left out."""

    def longer(measurement: Measurement, **changes: object) -> Measurement:
        return replace(measurement, requested={**measurement.requested, "length": 4096}, **changes)

    at_256 = {way_of(m): m for m in SWEEP if m.requested["length"] == 256}
    added = [
        longer(at_256["stock fp32"], status="oom", reason="made up", samples={}),
        longer(at_256["stock chunk_size 64"]),
        longer(at_256["lowmem_fold fp32, streamed"]),
    ]
    sweep = [*SWEEP, *added]
    assert front.compared_length(groups(sweep)[-1]) == 4096
    stock, chunked, streamed = rows_of(front.text(sweep, DRIFTS, VERIFIED).split("\n\n")[0])
    assert stock[1:3] == ["does not fit", ""] and chunked[2] == "1.00"
    assert streamed[1].endswith("GiB") and float(streamed[2]) < 1
    assert rows_of(front.measured_text(sweep))[-3][::2] == ["4,096", "does not fit", ""]
