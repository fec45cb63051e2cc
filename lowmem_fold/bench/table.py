"""A sweep's records for a terminal: what each way of folding took, beside stock in float32 at the same length."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from ..memory.budget import format_memory
from .configuration import OURS
from .groups import PEAKS, Group, groups, way_of
from .presets import STOCK
from .records import Measurement

__all__ = ["comparison_table", "result_text"]

_REFERENCE = f"{OURS} fp32, resident"
_LEGEND = f"""\
  x: ratio of the column before it to `{STOCK}` (transformers, unchunked) at the same length, in the same table
  activations: most bytes of tensors that a fold makes, weights apart
  drift: CA-RMSD in Angstrom from `{_REFERENCE}`; lDDT: lDDT-CA against the experiment, 0 to 1"""
_MOST_REASON = 90


def comparison_table(records: Sequence[Measurement]) -> str:
    """A line for each record, by model, machine, recycles and length, and what the columns mean."""
    tables = [line for group in groups(records) for line in _table(group)]
    return "\n".join([*tables, "", _LEGEND]) if tables else "nothing is measured yet"


def result_text(record: Measurement) -> str:
    """One line on a record that has just been written."""
    name = f"{way_of(record)}, {record.requested['length']} residues"
    if record.status != "ok":
        return f"{name}: {record.status}, {_short(record.reason)}"
    peak = next((name for name in PEAKS if name in record.samples), None)
    size = f", peak {format_memory(int(max(record.samples[peak])))}" if peak else ""
    return f"{name}: {statistics.median(record.samples['seconds']):.2f} s{size}"


def _table(group: Group) -> Iterator[str]:
    width = max(map(len, group.ways))
    columns = f"{'peak':>10} {'x':>5} {'activations':>11} {'x':>5} {'seconds':>8} {'x':>5} {'drift':>6} {'lDDT':>5}"
    yield group.title
    if group.peak:
        yield f"  peak: {PEAKS[group.peak]}"
    stock = next((way for way in group.ways if way.startswith(STOCK)), STOCK)
    for length in group.lengths:
        yield f"\n  {f'{length} residues':<{width}} {columns}"
        for way in sorted(group.ways, key=lambda way: way != stock):
            if (way, length) in group.records:
                yield f"  {way:<{width}} {_cells(group, way, length, stock)}"


def _cells(group: Group, way: str, length: int, stock: str) -> str:
    record = group.records[way, length]
    if record.status != "ok":
        return f"{record.status}: {_short(record.reason)}"

    def column(name: str, width: int) -> list[str]:
        value, reference = dict(group.curve(way, name)).get(length), dict(group.ratios(way, stock, name)).get(length)
        text = "-" if value is None else f"{value:.2f}" if name == "seconds" else format_memory(int(value))
        return [f"{text:>{width}}", _number(reference, 5)]

    drift, lddt = (group.values(way, length, name) for name in ("fp32_ca_rmsd_angstrom", "experiment_lddt_ca"))
    return " ".join(
        [
            *column(group.peak or "", 10),
            *column("live_peak_bytes", 11),
            *column("seconds", 8),
            "   ref" if way == _REFERENCE else _number(drift[0] if drift else None, 6),
            _number(lddt[0] if lddt else None, 5),
        ]
    )


def _number(value: float | None, width: int) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:>{width}.2f}"


def _short(reason: str | None) -> str:
    first = (reason or "").strip().split("\n")[0]
    return first if len(first) <= _MOST_REASON else first[: _MOST_REASON - 3] + "..."
