"""What a plan says to a reader: the recommendation in a sentence, the rows that matter, and what else to try."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..bench.words import PHASE_WORDS
from ..memory.budget import format_memory
from ..planning.options import PLACEMENTS

if TYPE_CHECKING:
    from ..planning.cards import Longest
    from ..planning.plan import Plan, Plans
    from ..sequences.records import Record

__all__ = ["batch_text", "cards_table", "duration", "faster_plan", "plans_text", "rows_that_matter"]

_ROWS = 5
#: Of the precisions that were not asked for, those whose best placement is shown, in this order.
_OTHERS = ("fp16", "int8", "int4", "fp32")


def plans_text(plans: Plans, budget: str, command: str, *, all_rows: bool = False, notes: Sequence[str] = ()) -> str:
    """Return what is printed for one length.

    Parameters
    ----------
    plans : Plans
    budget : str
        The memory that may be used, for the middle of a sentence; empty if it is not known.
    command : str
        What folds as recommended.
    all_rows : bool
        Whether each precision in each placement has a row.
    notes : sequence of str
        What else is to be said, a line each.
    """
    shown = list(plans.plans) if all_rows else rows_that_matter(plans)
    reasons = dict.fromkeys(each.refusal for each in shown if not each.possible)
    lines = [_recommendation(plans, budget), "", *_table(shown, plans.chosen, details=all_rows), ""]
    if plans.chosen is None:
        lines += ["What would fit:", *(f"  {each}" for each in plans.alternatives)]
    elif faster := faster_plan(plans):
        lines.append(_faster_text(faster, plans.chosen))
    lines += [f"* {reason}" for reason in reasons]
    if not all_rows and len(shown) < len(plans.plans):
        lines.append(f"{len(plans.plans) - len(shown)} more rows with --all")
    lines += notes
    return "\n".join([*lines, *([f"To fold with this plan: {command}"] if plans.chosen else [])])


def rows_that_matter(plans: Plans) -> list[Plan]:
    """Return the placements of the precision asked for, and the best of others: the fastest that fits, else the
    smallest."""
    found = [each for each in plans.plans if each.precision == plans.precision]
    for precision in _OTHERS:
        of_one = [each for each in plans.plans if each.precision == precision != plans.precision]
        if of_one and len(found) < _ROWS:
            fitting = [each for each in of_one if each.refusal is None]
            found.append(fitting[0] if fitting else min(of_one, key=lambda each: each.needed_bytes))
    return found


def faster_plan(plans: Plans) -> Plan | None:
    """Return the plan of int8 with all weights resident where it fits and will be faster than the chosen plan, whose
    weights come and go; None otherwise.

    Where no seconds are known, weights that stay are taken to be faster than those that cross a bus or come from a
    file for each record.
    """
    chosen = plans.chosen
    if chosen is None or chosen.placement == "resident" or chosen.precision != "fp32":
        return None
    for each in plans.plans:
        if (each.precision, each.placement, each.refusal) == ("int8", "resident", None):
            known = each.seconds is not None and chosen.seconds is not None
            return each if not known or each.seconds < chosen.seconds else None  # type: ignore[operator]
    return None


def _recommendation(plans: Plans, budget: str) -> str:
    what = f"{plans.length:,} residues with {plans.model} on {plans.device}"
    if plans.chosen is None:
        return f"No plan for {what}: {plans.reason}."
    chosen = plans.chosen
    within = f" of {budget}" if budget else ""
    seconds = "" if chosen.seconds is None else f" and about {duration(chosen.seconds)}"
    return (
        f"Recommended for {what}: {chosen.precision}, weights {chosen.placement}. It needs "
        f"{format_memory(chosen.needed_bytes)}{within}{seconds}."
    )


def _faster_text(faster: Plan, chosen: Plan) -> str:
    times = " (expected, not measured)"
    if faster.seconds is not None:
        times = f" ({duration(faster.seconds)} instead of {duration(chosen.seconds)})"
    return (
        f"Faster{times}: --precision int8 fits with all weights resident, in {format_memory(faster.needed_bytes)}. "
        "Its numbers differ a little: lowmem-fold verify shows by how much."
    )


def _table(plans: Sequence[Plan], chosen: Plan | None, *, details: bool) -> Iterator[str]:
    """The rows, without columns that would be empty."""
    columns: dict[str, list[str]] = {
        "precision": [each.precision for each in plans],
        "placement": [each.placement for each in plans],
        "needs": [format_memory(each.needed_bytes) for each in plans],
        "of which weights": [format_memory(each.weight_bytes) for each in plans],
    }
    if details:
        columns["peak"] = [format_memory(each.peak_bytes) for each in plans]
        columns["in the"] = [PHASE_WORDS.get(each.phase, each.phase) for each in plans]
    if any(each.host_bytes for each in plans):
        columns["main memory"] = [format_memory(each.host_bytes) if each.host_bytes else "-" for each in plans]
    if any(each.seconds is not None for each in plans):
        columns["time"] = [duration(each.seconds) for each in plans]
    columns[""] = [_state(each) for each in plans]
    widths = {name: max(map(len, [name, *cells])) for name, cells in columns.items()}
    yield _row("", list(columns), widths)
    for number, each in enumerate(plans):
        yield _row(">" if each == chosen else "", [cells[number] for cells in columns.values()], widths)


def _row(mark: str, cells: Sequence[str], widths: Mapping[str, int]) -> str:
    placed = [
        f"{cell:<{width}}" if name in ("precision", "placement", "in the", "") else f"{cell:>{width}}"
        for cell, (name, width) in zip(cells, widths.items(), strict=True)
    ]
    return f"{mark:>2} {'  '.join(placed)}".rstrip()


def _state(plan: Plan) -> str:
    return "" if plan.refusal is None else "too much" if plan.possible else "not available *"


def duration(seconds: float | None) -> str:
    """For a reader: `8.1 s`, `12 min`, `3.4 h`; `-` of what is not known."""
    if seconds is None:
        return "-"
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def cards_table(rows: Sequence[Longest]) -> str:
    """A line for each precision and placement, a column for each card."""
    lines = ["  residues that fit a card of  " + "".join(f"{size:>6} GB" for size in rows[0].residues)]
    for row in rows:
        name = f"{row.precision}, {row.placement}" + ("" if row.code == "lowmem_fold" else " (stock)")
        cells = "".join(f"{count or '-':>9}" for count in row.residues.values())
        lines.append(f"  {name:<29}{cells}")
    return "\n".join(lines)


def batch_text(records: Sequence[Record], of_length: dict[int, Plans], batch: dict[str, Any], budget: str) -> str:
    """Return what is printed for the records of a file; budget as of `plans_text`."""
    width = max(6, *(len(record.id) for record in records))
    rows = []
    for record in records:
        plans = of_length[record.num_tokens]
        plan = plans.chosen or min(plans.plans[: len(PLACEMENTS)], key=lambda each: each.needed_bytes)
        rows.append((record, plan, "" if plans.chosen else "  fits in no placement"))
    timed = any(plan.seconds is not None for _, plan, _ in rows)
    lines = [f"  {'record':<{width}} {'residues':>8} {'placement':<9} {'needs':>10}{'       time' * timed}"]
    for record, plan, state in rows:
        time = f" {duration(plan.seconds):>10}" if timed else ""
        needed = format_memory(plan.needed_bytes)
        lines.append(f"  {record.id:<{width}} {record.num_tokens:>8,} {plan.placement:<9} {needed:>10}{time}{state}")
    within = f" in {budget}" if budget else ""
    total = f"{batch['fitting']} of {batch['records']} records fit{within}"
    if batch["fitting"]:
        together = f"tensors peak at {format_memory(batch['peak_bytes'])}"
        if batch["seconds"] is not None:
            together += f", about {duration(batch['seconds'])}"
        total += f", together with weights {batch['placement']}: {together}"
    longest = of_length[max(of_length)]
    if longest.chosen is None:
        return "\n".join(
            [
                total,
                "",
                *lines,
                "",
                _recommendation(longest, budget),
                "What would fit:",
                *(f"  {each}" for each in longest.alternatives),
            ]
        )
    return "\n".join([total, "", *lines])
