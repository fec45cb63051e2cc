"""Write what docs/memory.md says of measured cards, from `results/card.jsonl`: `python -m benchmarks.card.table`."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.pages import filled
from lowmem_fold.bench.records import Measurement, read_measurements

PAGE = Path(__file__).parents[2] / "docs" / "memory.md"
RESULTS = Path(__file__).parents[1] / "results" / "card.jsonl"
SECTION = "measured cards"
NOTHING = """No card has been measured yet: the table above is planned. One command measures a card in five minutes:
[benchmarks/README.md](../benchmarks/README.md#on-a-card)."""
OURS = "lowmem_fold"


def text(measurements: Sequence[Measurement]) -> str:
    """A part for each card, by its name; of what was measured twice the newest counts."""
    cards: dict[str, list[Measurement]] = {}
    for measurement in measurements:
        gpus = measurement.environment.get("gpus") or []
        if gpus and measurement.benchmark.startswith("card-"):
            cards.setdefault(gpus[0]["name"], []).append(measurement)
    return "\n\n".join("\n".join(_card(name, found)) for name, found in sorted(cards.items())) or NOTHING


def _card(name: str, found: Sequence[Measurement]) -> Iterator[str]:
    versions = found[-1].environment["versions"]
    yield f"**{name}**: torch {versions['torch']}, transformers {versions['transformers']}; random weights in the"
    yield "layout of `facebook/esmfold_v1`, language model in float16, all weights on the card, two passes of the"
    yield "trunk. Peak: of torch's allocator."
    yield ""
    yield "| residues | code | seconds | stock = 1 | peak, GiB | planned, GiB |"
    yield "|---|---|---|---|---|---|"
    yield from _rows(found)
    yield ""
    yield from (f"- {line}" for line in _facts(found))


def _rows(found: Sequence[Measurement]) -> Iterator[str]:
    folds = _newest(found, "card-whole", "length", "code", "precision")
    planned = _newest(found, "card-planned", "length", "precision")
    for (length, code, precision), record in sorted(folds.items(), key=lambda item: (item[0][0], item[0][1] == OURS)):
        name = f"**{precision}**" if code == OURS else str(code)
        if record.status != "ok":
            yield f"| {length:,} | {name} | {record.status} | | | |"
            continue
        stock = next((each for key, each in folds.items() if key[0] == length and key[1] != OURS), None)
        seconds = _median(record, "seconds")
        ratio = f"{seconds / _median(stock, 'seconds'):.2f}" if stock is not None and stock.status == "ok" else ""
        plan = planned.get((length, precision))
        peak = max(record.samples["peak_bytes"]) / 2**30
        of_plan = f"{plan.samples['planned_peak_bytes'][0] / 2**30:.2f}" if plan and plan.status == "ok" else ""
        yield f"| {length:,} | {name} | {seconds:.2f} | {ratio} | {peak:.2f} | {of_plan} |"


def _facts(found: Sequence[Measurement]) -> Iterator[str]:
    """One sentence for each other step that has something to say."""
    fp32 = [
        each
        for key, each in _newest(found, "card-demo", "precision", "placement", "host_memory").items()
        if key[0] == "fp32" and each.status == "ok"
    ]
    if fp32:
        furthest = max(_largest(each, "distance_difference_angstrom") for each in fp32)
        yield f"The demo model in fp32, in {len(fp32)} placements: CA distances within {furthest:.1g} Å of the CPU's."
    exact = [each for each in _newest(found, "card-block-fidelity", "length").values() if each.status == "ok"]
    if exact:
        furthest = max(_largest(each, "pair_from_stock") for each in exact if "pair_from_stock" in each.samples)
        yield f"A block of full width: the pair state within {furthest:.1g} of stock's, relative to its largest value."
    yield from _streamed(_newest(found, "card-streams", "length", "placement", "memory"))
    limits = [
        each for each in _newest(found, "card-limit", "length", "expandable_segments").values() if each.status == "ok"
    ]
    if limits:
        most = max(
            each.samples["least_limit_bytes"][0] / each.samples["allocated_peak_bytes"][0] - 1 for each in limits
        )
        yield f"The allocator needs at most {most:.1%} more than the tensors' peak ({len(limits)} folds)."
    context = _newest(found, "card-facts", "what").get(("context",))
    if context is not None and context.status == "ok" and "free_before_context_bytes" in context.samples:
        taken = context.samples["free_before_context_bytes"][0] - context.samples["free_after_product_bytes"][0]
        taken -= context.samples["reserved_after_product_bytes"][0]
        yield f"CUDA's context takes {taken / 2**20:.0f} MiB of the card."
    tests = _newest(found, "card-tests", "test", "when")
    if tests:
        count = Counter(each.status for each in tests.values())
        yield f"Tests marked `gpu`: {count['ok']} passed, {count['failed']} failed, {count['refused']} skipped."


def _streamed(streams: Mapping[tuple, Measurement]) -> Iterator[str]:
    """The trunk's seconds with weights that are copied beside the arithmetic, over those with resident ones."""
    parts = []
    for (length, placement, memory), record in sorted(streams.items(), key=lambda item: str(item[0])):
        resident = streams.get((length, "resident", None))
        if (
            placement != "streamed"
            or memory is not None
            or resident is None
            or {record.status, resident.status} != {"ok"}
        ):
            continue
        ratio = _median(record, "trunk_seconds") / _median(resident, "trunk_seconds")
        parts.append(f"{ratio:.2f} at {length:,} residues")
    if parts:
        yield f"Streamed weights: the trunk takes {', '.join(parts)} of the time with resident ones."


def _newest(found: Iterable[Measurement], benchmark: str, *names: str) -> dict[tuple, Measurement]:
    """The last record of each combination of what was asked for."""
    of_one = (each for each in found if each.benchmark == benchmark)
    return {tuple(each.requested.get(name) for name in names): each for each in of_one}


def _median(record: Measurement, name: str) -> float:
    return statistics.median(record.samples[name])


def _largest(record: Measurement, name: str) -> float:
    return max(record.samples.get(name, [0.0]))


def write() -> None:
    """Write the section of docs/memory.md."""
    found = read_measurements(RESULTS) if RESULTS.exists() else []
    PAGE.write_text(filled(PAGE.read_text(), {SECTION: text(found)}))


if __name__ == "__main__":
    write()
