"""The front page's table is that of the records."""

from __future__ import annotations

import json
import statistics

import pytest

from benchmarks import front, precision
from benchmarks.pages import filled
from lowmem_fold.bench.records import read_measurements


def test_the_page_says_what_the_records_say() -> None:
    page = (front.ROOT / "README.md").read_text()
    text = front.text(read_measurements(front.RESULTS), read_measurements(precision.RESULTS))
    assert filled(page, {"table": text}) == page
    assert filled(page, {"table": "other"}) != page


def test_the_table_is_that_of_the_records() -> None:
    """Read again without the code that writes it."""
    section = (front.ROOT / "README.md").read_text().split("<!-- table: ")[1]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if "|" in line]
    table = {row[0].strip("*"): row[1:] for row in rows[2:]}
    records = [r for r in map(json.loads, front.RESULTS.read_text().splitlines()) if r["requested"]["length"] == 128]
    drifts = {r["requested"]["precision"]: r for r in map(json.loads, precision.RESULTS.read_text().splitlines())}
    (stock,) = [r for r in records if r["requested"]["code"] == "stock fp32"]
    ours = {r["requested"]["precision"]: r for r in records if r["requested"]["placement"] == "resident"}
    assert set(table) > {*ours, "stock, fp32"} and len(table) == len(records)
    for name, record in {"stock, fp32": stock, **ours}.items():
        samples = record["samples"]
        peak = max(*samples["load_anonymous_peak_bytes"], *samples["anonymous_peak_bytes"]) / 2**30
        ratio = statistics.median(samples["seconds"]) / statistics.median(stock["samples"]["seconds"])
        assert [float(cell) for cell in (table[name][0], table[name][3])] == pytest.approx([peak, ratio], abs=0.006)
        if name in drifts and name != "fp32":
            drift = drifts[name]["samples"]["ca_rmsd_angstrom"]
            said = [float(cell) for cell in table[name][4].split(", ")]
            assert said == pytest.approx([statistics.median(drift), max(drift)], abs=6e-4)
