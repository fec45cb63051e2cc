"""A sweep's records for a terminal: what each configuration took, beside stock in float32 at the same length."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from ..memory.budget import format_memory
from .configuration import OURS
from .presets import STOCK
from .records import Measurement

__all__ = ["comparison_table", "peak_name", "result_text", "stock_of", "typical"]

_LEGEND = """\
  x: ratio to `{stock}` (transformers, float32, unchunked) of the same model, length and recycles, in the column before
  peak: {peak}
  activations: the tensors of a fold at their most, without the weights
  drift: CA-RMSD in Angstrom from lowmem_fold in fp32; lDDT: lDDT-CA against the experiment, 0 to 1"""
_PEAKS = {
    "allocated_peak_bytes": "torch's allocator on the device, weights included",
    "anonymous_peak_bytes": "main memory that the process holds for itself (RssAnon), Python and libraries included",
    "resident_peak_bytes": "main memory of the process (RSS), Python and libraries included",
}
_MOST_REASON = 90


def comparison_table(records: Sequence[Measurement]) -> str:
    """A line for each record, grouped by model, length and recycles, with what the columns mean above."""
    if not records:
        return "nothing is measured yet"
    width = max(len(_way(record)) for record in records)
    names = dict.fromkeys(peak_name(record) for record in records if record.status == "ok")
    peak = "; ".join(_PEAKS[name] for name in names if name) or "no configuration could be folded"
    lines = [_LEGEND.format(stock=STOCK, peak=peak)]
    group = None
    for record in records:
        if (present := _group(record)) != group:
            group = present
            lines += ["", _group_text(record), _header(width)]
        lines.append(_line(record, stock_of(record, records), width))
    return "\n".join(lines)


def result_text(record: Measurement) -> str:
    """One line on a record that has just been written."""
    name = f"{_way(record)}, {record.requested['length']} residues"
    if record.status != "ok":
        return f"{name}: {record.status}, {_short(record.reason)}"
    peak = _most(record, peak_name(record))
    size = "" if peak is None else f", peak {format_memory(peak)}"
    return f"{name}: {typical(record, 'seconds'):.2f} s{size}"


def typical(record: Measurement, name: str) -> float | None:
    """Median of a sample; None where there is none."""
    values = record.samples.get(name)
    return float(statistics.median(values)) if values else None


def peak_name(record: Measurement) -> str | None:
    """The sample that tells most exactly what a configuration takes where it computes; None where none was taken."""
    return next((name for name in _PEAKS if record.samples.get(name)), None)


def stock_of(record: Measurement, records: Sequence[Measurement]) -> Measurement | None:
    """The record of stock in float32 that one is compared with; None if it was not measured, or did not end well."""
    found = (r for r in records if r.requested["code"] == STOCK and r.status == "ok" and _group(r) == _group(record))
    return next(found, None)


def _group(record: Measurement) -> tuple[Any, ...]:
    asked, resolved = record.requested, record.resolved
    return (resolved.get("fingerprint"), asked["device"], asked["memory"], asked["num_recycles"], asked["length"])


def _group_text(record: Measurement) -> str:
    asked = record.requested
    budget = f", memory {asked['memory']}" if asked["memory"] else ""
    device = record.resolved.get("device", asked["device"])
    return f"{asked['model']} on {device}{budget}, {asked['length']} residues, {asked['num_recycles']} recycles"


def _way(record: Measurement) -> str:
    asked = record.requested
    blocks = f"{asked['chunk_size']} rows" if asked["chunk_size"] else None
    return " ".join(word for word in (asked["code"], asked["precision"], asked["placement"], blocks) if word)


def _header(width: int) -> str:
    columns = f"{'peak':>10} {'x':>5} {'activations':>11} {'x':>5} {'seconds':>8} {'x':>5} {'drift':>6} {'lDDT':>5}"
    return f"  {'':<{width}} {columns}"


def _line(record: Measurement, stock: Measurement | None, width: int) -> str:
    start = f"  {_way(record):<{width}}"
    if record.status != "ok":
        return f"{start} {record.status}: {_short(record.reason)}"
    peak = peak_name(record)
    cells = [
        _size(_most(record, peak), 10),
        _ratio(_most(record, peak), _most(stock, peak)),
        _size(_most(record, "live_peak_bytes"), 11),
        _ratio(_most(record, "live_peak_bytes"), _most(stock, "live_peak_bytes")),
        _number(typical(record, "seconds"), 8, 2),
        _ratio(typical(record, "seconds"), None if stock is None else typical(stock, "seconds")),
        "ref".rjust(6) if _is_reference(record) else _number(typical(record, "fp32_ca_rmsd_angstrom"), 6, 2),
        _number(typical(record, "experiment_lddt_ca"), 5, 2),
    ]
    return " ".join([start, *cells])


def _is_reference(record: Measurement) -> bool:
    asked = record.requested
    return (asked["code"], asked["precision"], asked["placement"], asked["chunk_size"]) == (
        OURS,
        "fp32",
        "resident",
        None,
    )


def _most(record: Measurement | None, name: str | None) -> int | None:
    values: Iterator[Any] = iter(record.samples.get(name, ())) if record and name else iter(())
    return max(values, default=None)


def _size(size: int | None, width: int) -> str:
    return f"{'-' if size is None else format_memory(size):>{width}}"


def _number(value: float | None, width: int, decimals: int) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:>{width}.{decimals}f}"


def _ratio(value: float | None, reference: float | None) -> str:
    return f"{'-':>5}" if value is None or not reference else f"{value / reference:>5.2f}"


def _short(reason: str | None) -> str:
    first = (reason or "").strip().split("\n")[0]
    return first if len(first) <= _MOST_REASON else first[: _MOST_REASON - 3] + "..."
