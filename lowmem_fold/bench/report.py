"""One page of HTML about a run of `lowmem-fold bench`: what ran where, tables and pictures, nothing from elsewhere."""

from __future__ import annotations

import base64
import statistics
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from ..errors import InputError
from ..memory.budget import format_memory
from ..system.files import write_text_atomic
from ..system.readable import readable
from ..system.style import DARK, LIGHT, Drawing, Theme, rendered
from .accuracy import summary
from .configuration import OURS
from .groups import ACTIVATIONS, Group, groups
from .pictures import drawings
from .presets import STOCK
from .records import Measurement, read_measurements
from .words import group_words, way_words

__all__ = ["write"]

Row = Sequence[str]

_ACCURACY = {
    "fp32": "Compared with the same model's fold in fp32 by lowmem_fold, all weights on the device",
    "experiment": "Compared with the experiment",
}
_QUANTITIES = {
    "ca_rmsd_angstrom": "CA-RMSD, Å",
    "all_atom_rmsd_angstrom": "all-atom RMSD, Å",
    "tm_score": "TM-score",
    "lddt_ca": "lDDT-CA",
    "gdt_ts": "GDT-TS",
    "plddt_difference": "mean pLDDT, points",
    "pae_error_angstrom": "PAE, Å",
    "distogram_kl_nats": "distogram, nats",
    "contact_precision": "contacts: precision",
    "contact_recall": "recall",
    "contact_f1": "F1",
}
#: What a peak counts.
_PEAKS = {
    "allocated_peak_bytes": "tensors on the card, weights included",
    "anonymous_peak_bytes": "memory (RAM) of the process, Python and libraries included, mapped files not",
    "resident_peak_bytes": "memory (RAM) of the process, Python, libraries and mapped files included",
}
#: What the process takes besides, by the peak of a group.
_BESIDES = {
    "allocated_peak_bytes": {
        "reserved_peak_bytes": "reserved by torch",
        "device_process_peak_bytes": "taken from the card",
    },
    "anonymous_peak_bytes": {"resident_peak_bytes": "with mapped files"},
}
_CSS = """
body { margin: 2rem auto; max-width: 76rem; padding: 0 1rem; font: 15px/1.5 system-ui, sans-serif;
       background: var(--page); color: var(--text); }
h1 { font-size: 1.5rem } h2 { font-size: 1.2rem; margin-top: 2.5rem } h3 { font-size: 1rem; margin-bottom: .3rem }
.wide { overflow-x: auto } p { color: var(--muted) }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .5rem 0 1rem }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid var(--grid); white-space: nowrap }
th:first-child, td:first-child { text-align: left } td.why { white-space: normal; text-align: left }
img { max-width: 100%; height: auto; margin: .5rem 0 }
"""


def write(records_path: str | Path, html_path: str | Path) -> None:
    """Write the page of a file of records.

    Parameters
    ----------
    records_path : str or Path
        JSONL, as `lowmem-fold bench` writes it. Records of other benchmarks in it are left out.
    html_path : str or Path
        Replaced if it is there.

    Raises
    ------
    InputError
        The records cannot be read, none is of `lowmem-fold bench`, matplotlib is not installed, or the page cannot be
        written.
    """
    found = groups(read_measurements(records_path))
    if not found:
        raise InputError(f"{records_path}: no record of lowmem-fold bench is in it, so that there is nothing to report")
    page = readable(_page(Path(records_path).name, found))
    try:
        write_text_atomic(html_path, page)
    except OSError as error:
        raise InputError(f"{html_path}: cannot be written: {error.strerror}") from error


def _page(name: str, found: Sequence[Group]) -> str:
    title = f"lowmem_fold: {escape(name)}"
    themes = f":root {{ color-scheme: light dark; {_variables(LIGHT)} }}\n"
    themes += f"@media (prefers-color-scheme: dark) {{ :root {{ {_variables(DARK)} }} }}"
    body = "\n".join(_section(group) for group in found)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{title}</title>\n'
        f"<style>\n{themes}{_CSS}</style>\n</head>\n<body>\n<h1>{title}</h1>\n{body}\n</body>\n</html>\n"
    )


def _variables(theme: Theme) -> str:
    return " ".join(f"--{name}: {getattr(theme, name)};" for name in ("page", "text", "muted", "grid"))


def _section(group: Group) -> str:
    parts = [f"<h2>{escape(group_words(group))}</h2>", _where(group), _folds(group), _lost(group)]
    parts += [_picture(about, draw) for about, draw in drawings(group).values()]
    parts += [_ratios(group), *(_accuracy(group, prefix) for prefix in _ACCURACY)]
    return "\n".join(part for part in parts if part)


def _where(group: Group) -> str:
    """The environment, as far as all records have the same; else each that there was."""
    records = group.records.values()
    facts = {
        "Platform": (m.environment["platform"] for m in records),
        "Processor": (_processor(m) for m in records),
        "Memory": (format_memory(m.environment["memory"]["total_bytes"]) for m in records),
        "GPU": (gpu["name"] for m in records for gpu in m.environment["gpus"]),
        "Driver": (m.environment["gpu_driver"] for m in records),
        "Versions": (_versions(m) for m in records),
        "Commit": (_commit(m) for m in records),
        "Model": (f"{m.requested['model']}, fingerprint {m.resolved.get('fingerprint', 'not known')}" for m in records),
        "Measured (UTC)": (f"{times[0]} to {times[-1]}" for times in [sorted(m.time for m in records)]),
    }
    rows = [(name, "; ".join(dict.fromkeys(filter(None, values)))) for name, values in facts.items()]
    return _table("", (), [(name, value) for name, value in rows if value], words=True)


def _processor(measurement: Measurement) -> str:
    cpu = measurement.environment["cpu"]
    return f"{cpu['model']}, {cpu['cores']} cores; threads of torch: {cpu['torch_threads']}"


def _versions(measurement: Measurement) -> str:
    return ", ".join(f"{name} {version}" for name, version in measurement.environment["versions"].items() if version)


def _commit(measurement: Measurement) -> str:
    git = measurement.environment["git"]
    return f"{git['commit']}{' with changes' if git['changed'] else ''}" if git else ""


def _folds(group: Group) -> str:
    """A row for each way and length."""
    head = ["", "residues", "load, s", "first fold, s", "fold, s", f"÷ {STOCK}", "peak", f"÷ {STOCK}", "planned"]
    head += _besides(group).values()
    head += ["activations", f"÷ {STOCK}", "mean pLDDT", "pTM"]
    caption = (
        "Folds: median (fastest to slowest, how many). Peak: "
        f"{_PEAKS.get(group.peak or '', 'not measured')}; planned: the same by the planner. Activations: the most that"
        f" the tensors of a fold take, without the weights. ÷ {STOCK}: divided by that of {STOCK}."
    )
    rows = [
        _fold(group, way, length)
        for length in group.lengths
        for way in group.ways
        if group.values(way, length, "seconds")
    ]
    return _table(caption, head, rows)


def _besides(group: Group) -> dict[str, str]:
    """Those of _BESIDES that were measured."""
    found = _BESIDES.get(group.peak or "", {})
    return {name: about for name, about in found.items() if any(name in m.samples for m in group.records.values())}


def _fold(group: Group, way: str, length: int) -> Row:
    taken, peak = group.values(way, length, "seconds"), group.peak
    planned = "predicted_peak_bytes" if peak == "allocated_peak_bytes" else "predicted_process_bytes"
    return (
        way_words(way),
        f"{length:,}",
        *(_number(group.values(way, length, name), 2) for name in ("load_seconds", "first_seconds")),
        _seconds(taken),
        _ratio(group, way, length, STOCK, "seconds"),
        _size(group.values(way, length, peak)) if peak else "",
        _ratio(group, way, length, STOCK, peak) if peak else "",
        _size(group.values(way, length, planned)),
        *(_size(group.values(way, length, name)) for name in _besides(group)),
        _size(group.values(way, length, ACTIVATIONS)),
        _ratio(group, way, length, STOCK, ACTIVATIONS),
        _number(group.values(way, length, "mean_plddt"), 2),
        _number(group.values(way, length, "ptm"), 3),
    )


def _seconds(taken: Sequence[float]) -> str:
    """Of several also the fastest, the slowest, and how many."""
    middle = f"{statistics.median(taken):.3g}"
    return f"{middle} ({min(taken):.3g} to {max(taken):.3g}, {len(taken)})" if len(taken) > 1 else middle


def _ratio(group: Group, way: str, length: int, reference: str, name: str) -> str:
    found = dict(group.ratios(way, reference, name))
    return f"{found[length]:.2f}" if length in found else ""


def _number(values: Sequence[float], digits: int) -> str:
    return f"{statistics.median(values):.{digits}f}" if values else ""


def _size(values: Sequence[float]) -> str:
    return format_memory(int(max(values))) if values else ""


def _lost(group: Group) -> str:
    """What gave no fold, and why."""
    rows = [
        (way_words(way), f"{length:,}", record.status, record.reason or "")
        for (way, length), record in group.records.items()
        if record.status != "ok"
    ]
    return _table("These gave no fold.", ("", "residues", "status", "why"), rows, words=True)


def _picture(about: str, draw: Drawing) -> str:
    light, dark = (base64.b64encode(rendered(draw, theme, "svg")).decode() for theme in (LIGHT, DARK))
    start = "data:image/svg+xml;base64,"
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{start}{dark}">'
        f'<img alt="{escape(about)}" src="{start}{light}"></picture>'
    )


def _ratios(group: Group) -> str:
    """Ours over each peer: peak, activations and seconds."""
    ours, peers = ([way for way in group.ways if way.startswith(OURS) == mine] for mine in (True, False))
    rows = []
    for length in group.lengths:
        for way in ours:
            cells = [_parts(group, way, length, peer) for peer in peers]
            if any(cells):
                rows.append((way_words(way), f"{length:,}", *cells))
    head = ["", "residues", *(f"÷ {way_words(peer)}" for peer in peers)]
    caption = "Compared with each other code: peak memory, activations and seconds, divided by that one's."
    return _table(caption, head, rows)


def _parts(group: Group, way: str, length: int, peer: str) -> str:
    names = (group.peak, ACTIVATIONS, "seconds")
    found = [_ratio(group, way, length, peer, name) if name else "" for name in names]
    return ", ".join(part or "-" for part in found) if any(found) else ""


def _accuracy(group: Group, prefix: str) -> str:
    """Median, worst and interval over the chains, for each way."""
    measured = [q for q in _QUANTITIES if any(group.over_chains(way, f"{prefix}_{q}") for way in group.ways)]
    rows = []
    for way in group.ways:
        values = [group.over_chains(way, f"{prefix}_{quantity}") for quantity in measured]
        if any(values):
            rows.append((way_words(way), str(max(map(len, values))), *map(_spread, measured, values)))
    caption = f"{_ACCURACY[prefix]}: median, worst [95 % bootstrap interval of the median] over chains."
    return _table(caption, ["", "chains", *(_QUANTITIES[q] for q in measured)], rows)


def _spread(name: str, values: Sequence[float]) -> str:
    if not values:
        return ""
    found = summary(name, values)
    interval = f" [{found.interval[0]:.3f}, {found.interval[1]:.3f}]" if len(values) > 2 else ""
    return f"{found.median:.3f}, {found.worst:.3f}{interval}"


def _table(caption: str, head: Sequence[str], rows: Iterable[Row], *, words: bool = False) -> str:
    """With every cell escaped; empty without rows. words: the last column is text."""
    lines = [_cells(row, words) for row in rows]
    if not lines:
        return ""
    about = f"<p>{escape(caption)}</p>\n" if caption else ""
    above = f"<tr>{''.join(f'<th>{escape(cell)}</th>' for cell in head)}</tr>" if head else ""
    return f'{about}<div class="wide"><table>{above}\n' + "\n".join(lines) + "\n</table></div>"


def _cells(row: Row, words: bool) -> str:
    last = ' class="why"' if words else ""
    cells = [f"<td>{escape(cell)}</td>" for cell in row[:-1]]
    return f"<tr>{''.join(cells)}<td{last}>{escape(row[-1])}</td></tr>"
