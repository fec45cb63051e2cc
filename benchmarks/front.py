"""The table of the front page, written from committed records: `python -m benchmarks.front`

Memory and seconds are those of a full-size fold (`results/sweep-stand-in.jsonl`, whose command is in README.md of this
folder), with stock transformers in the same run; accuracy is the demo model's (`results/precision.jsonl`).
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from lowmem_fold.bench.configuration import OURS
from lowmem_fold.bench.groups import Group, groups
from lowmem_fold.bench.presets import STOCK
from lowmem_fold.bench.records import Measurement, read_measurements

from . import precision
from .pages import filled

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results" / "sweep-stand-in.jsonl"
LENGTH = 128
_OTHERS = {
    STOCK: "stock, fp32",
    "stock chunk_size 64": "stock, fp32, `chunk_size` 64",
    "stock fp16 stem": "stock, fp16 stem",
    "the article's recipe": "stock, `QuantoConfig(int8)`",
}


def text(sweep: Sequence[Measurement], drifts: Sequence[Measurement]) -> str:
    """What it was measured on, and the table."""
    (group,) = groups(sweep)
    versions = next(iter(group.records.values())).environment["versions"]
    passes = "1 pass" if group.num_recycles == 0 else f"{group.num_recycles + 1} passes"
    about = f"""\
{group.machine}, torch {versions["torch"]}; {LENGTH} residues, {passes} of the trunk, random weights in the layout of
`facebook/esmfold_v1`. Peak of the whole process: anonymous memory, loading included, and what is resident while it
folds; the difference is pages of the mapped weights, which the system takes back when it needs them. Stock:
transformers {versions["transformers"]}, which maps what the file holds in the dtype asked for. Seconds: one fold on a
virtual machine that scatters. Accuracy: the demo model on 50 chains that it never saw, beside itself in fp32: median,
worst."""
    return f"{about}\n\n{table(group, drifts)}"


def table(group: Group, drifts: Sequence[Measurement]) -> str:
    """A line for each way of folding that was measured at LENGTH."""
    found = {m.requested["precision"]: m.samples for m in drifts if m.benchmark == "precision-drift"}
    lines = [
        "| precision | anonymous, GiB | resident, GiB | seconds | beside stock | CA-RMSD, Å | lDDT-CA | pLDDT |",
        "|---|---|---|---|---|---|---|---|",
    ]
    ways = [way for way in group.ways if (way, LENGTH) in group.records]
    ways.sort(key=lambda way: way.startswith(OURS))
    return "\n".join([*lines, *(_row(group, way, found) for way in ways)])


def _row(group: Group, way: str, drifts: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    record = group.records[way, LENGTH]
    name = _name(record, way)
    if record.status != "ok":
        return f"| {name} | {record.status} | | | | | |"
    peak = max(max(record.samples[key]) for key in ("load_anonymous_peak_bytes", "anonymous_peak_bytes"))
    resident = max(record.samples["resident_peak_bytes"])
    seconds = statistics.median(record.samples["seconds"])
    stock = statistics.median(group.values(STOCK, LENGTH, "seconds"))
    measured = f"| {name} | {peak / 2**30:.2f} | {resident / 2**30:.2f} | {seconds:.1f} | {seconds / stock:.2f} |"
    if way.startswith(f"{OURS} fp32"):
        return f"{measured} 0 | 1 | 0 |"
    samples = drifts.get(record.requested["precision"] or "") if way.startswith(OURS) else None
    return f"{measured} {_drift(samples) if samples else '| |'} |"


def _name(record: Measurement, way: str) -> str:
    asked = record.requested
    if asked["code"] != OURS:
        return _OTHERS.get(way, way)
    return f"**{asked['precision']}**" + ("" if asked["placement"] == "resident" else f", {asked['placement']}")


def _drift(samples: Mapping[str, Sequence[float]]) -> str:
    columns = (("ca_rmsd_angstrom", max), ("lddt_ca", min), ("plddt_difference", max))
    return " | ".join(precision.spread([abs(value) for value in samples[name]], worst) for name, worst in columns)


def write() -> None:
    """Write the front page's section."""
    page = ROOT / "README.md"
    section = text(read_measurements(RESULTS), read_measurements(precision.RESULTS))
    page.write_text(filled(page.read_text(), {"table": section}))


if __name__ == "__main__":
    write()
