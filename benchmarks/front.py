"""Write the tables of measured memory and time from committed records: `python -m benchmarks.front`

A few lines go into README.md, at the longest protein that was measured with this code and with stock transformers;
every record goes into docs/memory.md. Memory and time are those of a fold at full size (`results/sweep-stand-in.jsonl`,
whose commands are in README.md of this folder). Differences are the demo model's: of fp32 from stock transformers
(`results/verify-demo.jsonl`), of other precisions from fp32 (`results/precision.jsonl`).
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from lowmem_fold.bench.configuration import OURS
from lowmem_fold.bench.groups import Group, groups
from lowmem_fold.bench.presets import ARTICLE, CHUNKED, STOCK
from lowmem_fold.bench.records import Measurement, read_measurements

from . import precision
from .pages import filled

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results" / "sweep-stand-in.jsonl"
VERIFIED = Path(__file__).parent / "results" / "verify-demo.jsonl"
#: The lines of README.md, as far as they were measured at its length: way of folding (`bench.groups.way_of`), and name.
ROWS = {
    STOCK: "stock transformers, fp32",
    CHUNKED: "stock transformers, fp32, `chunk_size` 64",
    f"{OURS} fp32, streamed": "**lowmem_fold, fp32**, weights streamed from disk",
    f"{OURS} int8, resident": "**lowmem_fold, int8**",
    f"{OURS} fp32, resident": "**lowmem_fold, fp32**, all weights in memory",
}
_OTHERS = {
    "stock fp16 stem": "stock transformers, language model in fp16",
    ARTICLE: "stock transformers, `QuantoConfig(int8)`",
}


def text(sweep: Sequence[Measurement], drifts: Sequence[Measurement], verified: Sequence[Measurement]) -> str:
    """Return README.md's table and what it was measured on."""
    group = _group(sweep)
    length = compared_length(group)
    header = (
        f"| {length:,} residues | memory (RAM) | time, stock = 1 | difference from fp32 (median CA-RMSD, demo model) |"
    )
    measured = [way for way in ROWS if (way, length) in group.records]
    rows = [_row(group, way, length, _difference(way, drifts, verified)) for way in measured]
    about = f"""\
On a CPU ({group.machine}), {_passes(group)} of the trunk, ESMFold v1 at full size with random weights, which take the
same memory and time as trained ones. Memory is the peak of what the process holds itself
([docs/memory.md](docs/memory.md)): a fifth of stock's weights stay in the mapped file and do not count, lowmem_fold in
fp32 holds them all. Difference: fp32 from stock, int8 from fp32."""
    return "\n".join([header, "|---|---|---|---|", *rows, "", about])


def compared_length(group: Group) -> int:
    """Return the most residues for which there are records of this code and of stock in chunks."""
    ours = {length for way, length in group.records if way.startswith(OURS)}
    return max(ours & {length for way, length in group.records if way == CHUNKED})


def measured_text(sweep: Sequence[Measurement]) -> str:
    """Return docs/memory.md's table: a line for each record, shorter proteins first, stock before ours."""
    group = _group(sweep)
    versions = next(iter(group.records.values())).environment["versions"]
    lines = [
        f"{group.machine}, torch {versions['torch']}, transformers {versions['transformers']}; {_passes(group)} of the"
        " trunk; one fold each.",
        "",
        "| residues | | memory (RAM) | with mapped weights | seconds | stock = 1 |",
        "|---|---|---|---|---|---|",
    ]
    ways = sorted(group.records, key=lambda key: (key[1], key[0].startswith(OURS)))
    return "\n".join([*lines, *(_long_row(group, way, length) for way, length in ways)])


def _group(sweep: Sequence[Measurement]) -> Group:
    """Return the records that can be compared; the last machine's, where there are several."""
    return groups(sweep)[-1]


def _passes(group: Group) -> str:
    return "1 pass" if group.num_recycles == 0 else f"{group.num_recycles + 1} passes"


def _row(group: Group, way: str, length: int, difference: str) -> str:
    record = group.records[way, length]
    if record.status != "ok":
        return f"| {ROWS[way]} | {_status(record)} | | {difference} |"
    return f"| {ROWS[way]} | {_gib(_own_bytes(record))} | {_ratio(group, way, length)} | {difference} |"


def _long_row(group: Group, way: str, length: int) -> str:
    record = group.records[way, length]
    if record.status != "ok":
        return f"| {length:,} | {_name(record, way)} | {_status(record)} | | | |"
    seconds = statistics.median(record.samples["seconds"])
    mapped = _gib(max(record.samples["resident_peak_bytes"]))
    cells = f"{_gib(_own_bytes(record))} | {mapped} | {seconds:.1f} | {_ratio(group, way, length)}"
    return f"| {length:,} | {_name(record, way)} | {cells} |"


def _name(record: Measurement, way: str) -> str:
    asked = record.requested
    if asked["code"] != OURS:
        return ROWS.get(way) or _OTHERS.get(way, way)
    return f"**lowmem_fold, {asked['precision']}**" + ("" if asked["placement"] == "resident" else ", streamed")


def _status(record: Measurement) -> str:
    return "does not fit" if record.status == "oom" else record.status


def _own_bytes(record: Measurement) -> float:
    return max(max(record.samples[key]) for key in ("load_anonymous_peak_bytes", "anonymous_peak_bytes"))


def _gib(size: float) -> str:
    return f"{size / 2**30:.1f} GiB"


def _ratio(group: Group, way: str, length: int) -> str:
    """Return the time over that of stock, or of stock in chunks where stock itself does not fit."""
    for stock in (STOCK, CHUNKED):
        if before := group.values(stock, length, "seconds"):
            return f"{statistics.median(group.values(way, length, 'seconds')) / statistics.median(before):.2f}"
    return ""


def _difference(way: str, drifts: Sequence[Measurement], verified: Sequence[Measurement]) -> str:
    """Return the median CA-RMSD: of fp32 from stock, of another precision from fp32."""
    if not way.startswith(OURS):
        return ""
    asked = way.removeprefix(f"{OURS} ").partition(",")[0]
    if asked == "fp32":
        found = [m.samples["recycled_ca_rmsd_angstrom"] for m in verified if m.requested["precision"] == asked]
    else:
        drifted = (m for m in drifts if m.benchmark == "precision-drift")
        found = [m.samples["ca_rmsd_angstrom"] for m in drifted if m.requested["precision"] == asked]
    return f"{statistics.median(found[-1]):.2f} Å" if found else ""


def write() -> None:
    """Write the sections of both pages."""
    sweep, drifts, verified = (read_measurements(path) for path in (RESULTS, precision.RESULTS, VERIFIED))
    sections = {
        ROOT / "README.md": {"table": text(sweep, drifts, verified)},
        ROOT / "docs" / "memory.md": {"measured": measured_text(sweep)},
    }
    for page, filling in sections.items():
        page.write_text(filled(page.read_text(), filling))


if __name__ == "__main__":
    write()
