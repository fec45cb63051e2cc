from __future__ import annotations

import statistics
from dataclasses import replace

import pytest

from lowmem_fold.bench.configuration import OURS
from lowmem_fold.bench.records import Measurement
from lowmem_fold.bench.table import comparison_table, result_text
from tests.bench.sweeps import CARD, fold, sweep

STOCK, INT8 = ("stock fp32", None, None), (OURS, "int8", "resident")


def cells(table: str, residues: int, way: str) -> list[str]:
    """Of the line of a way below the heading of a length."""
    lines = table.splitlines()
    below = lines[next(i for i, line in enumerate(lines) if line.startswith(f"  {residues} residues")) :]
    line = next(line for line in below if line.startswith(f"  {way} "))
    return line.removeprefix(f"  {way}").split()


def test_ratios_are_to_stock_at_the_same_length() -> None:
    lived = {"samples": {"live_peak_bytes": [3 * 2**20], "experiment_lddt_ca": [0.4321]}}
    records = [fold(STOCK, n) for n in (64, 128)]
    records += [fold(INT8, n, **lived) for n in (64, 128)]
    plain = [{name: v for name, v in r.samples.items() if name != "live_peak_bytes"} for r in records[:2]]
    records[:2] = [
        replace(records[0], samples=plain[0]),
        replace(records[1], samples={**plain[1], "live_peak_bytes": [12 * 2**20]}),
    ]
    table = comparison_table(records)
    for length in (64, 128):
        stock, ours = (next(r for r in records if r.requested == fold(w, length).requested) for w in (STOCK, INT8))
        peak = max(ours.samples["anonymous_peak_bytes"])
        seconds = statistics.median(ours.samples["seconds"])
        assert cells(table, length, "lowmem_fold int8, resident") == [
            *f"{peak / 2**30:.2f} GiB".split(),
            f"{peak / max(stock.samples['anonymous_peak_bytes']):.2f}",
            "3.0",
            "MiB",
            "0.25" if length == 128 else "-",
            f"{seconds:.2f}",
            f"{seconds / statistics.median(stock.samples['seconds']):.2f}",
            f"{length / 100:.2f}",
            "0.43",
        ]
        assert cells(table, length, "stock fp32")[2] == "1.00"
    assert "`stock fp32`" in table and "`lowmem_fold fp32, resident`" in table, "what is compared with is named"


def test_what_gave_no_fold_says_why_and_is_no_reference() -> None:
    table = comparison_table(sweep((64, 128)))
    assert cells(table, 256, "stock fp32")[:3] == ["oom:", "DefaultCPUAllocator:", "can't"]
    lost = Measurement("sweep", fold(STOCK).requested, {}, CARD, {}, "timeout", "x" * 300)
    table = comparison_table([lost, fold(INT8, environment=CARD)])
    assert max(map(len, table.splitlines())) < 130
    assert cells(table, 128, "lowmem_fold int8, resident")[2] == "-"


def test_models_and_machines_stand_apart_and_every_line_fits_a_terminal() -> None:
    other = fold(INT8, requested={"model": "standin"}, resolved={"fingerprint": "f01"})
    table = comparison_table([*sweep(), other])
    assert [line for line in table.splitlines() if " on " in line] == [
        "demo on A CPU, 2 cores, 3 recycles",
        "standin on A CPU, 2 cores, 3 recycles",
    ]
    assert max(map(len, table.splitlines())) <= 120
    assert comparison_table([]) == "nothing is measured yet"


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (fold(INT8, 100), "lowmem_fold int8, resident, 100 residues: 6.00 s, peak 1.95 GiB"),
        (
            replace(fold(STOCK), status="oom", reason="no\nmore", samples={}),
            "stock fp32, 128 residues: oom, no",
        ),
    ],
    ids=["ok", "oom"],
)
def test_one_line_on_a_record(record: Measurement, text: str) -> None:
    assert result_text(record) == text
