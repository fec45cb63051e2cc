"""Tell what a fold will take before it runs: memory and seconds in each placement and precision, and which to choose.

Neither the weights nor the device need be here: give --device cuda and --memory for a card that is elsewhere.
"""

from __future__ import annotations

import argparse
import gc
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..families.registry import DEFAULT_MODEL
from ..memory.budget import format_memory
from ..planning.options import PLACEMENTS
from ..run.batches import WINDOW_TOKENS
from ..system.terminal import say, tell
from .backbone import add_letter_options
from .main import OK, SOME_FAILED

if TYPE_CHECKING:
    from ..planning.cards import Longest
    from ..planning.plan import Plan, Planner, Plans
    from ..sequences.records import Record

__all__ = ["add_arguments", "cards_table", "duration", "run"]

_EXIT_CODES = """\
exit codes:
  0  a plan for every record
  1  a record fits in no placement of the precision asked for
  2  the input or an option is wrong, or the model is not known here
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.epilog = _EXIT_CODES
    parser.usage = "lowmem-fold plan (-L N | -i FASTA | --cards) [--memory 8GB] [options]"
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("-L", "--length", metavar="N", type=int, help="residues, with 25 for each linker between chains")
    what.add_argument("-i", "--fasta", metavar="FASTA", help="each record of a FASTA file, and all of them together")
    what.add_argument("--cards", action="store_true", help="the longest protein for each size of card, beside stock's")
    add_letter_options(parser)
    parser.add_argument(
        "--memory", metavar="M", help="budget on the device: 8GB (8 x 10^9 bytes), 8GiB [what is free on it]"
    )
    parser.add_argument("--host-memory", metavar="M", help="budget for weights that wait beside a device [none]")
    parser.add_argument(
        "--model", metavar="M", default=DEFAULT_MODEL, help=f"hub id, local folder, or demo [{DEFAULT_MODEL}]"
    )
    parser.add_argument(
        "--precision", metavar="P", help="as of lowmem-fold fold [that of a quantized folder, else fp32]"
    )
    parser.add_argument("--device", metavar="D", default="auto", help="auto, cpu, cuda, cuda:N or mps [auto]")
    parser.add_argument("--placement", choices=PLACEMENTS, help="choose no other [the fastest that fits]")
    parser.add_argument("--num-recycles", metavar="N", type=int, default=3, help="passes after the first one [3]")
    parser.add_argument(
        "--calibrate", action="store_true", help="measure this device first (10 seconds), to tell seconds"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object, sizes in bytes")


def run(arguments: argparse.Namespace) -> int:
    """Print the plans; returns the exit code."""
    if arguments.cards:
        return _cards(arguments)
    records = _records(arguments)
    planner = _planner(arguments)
    if arguments.fasta is None:
        with _no_collection():
            plans = planner.plans(arguments.length)
        say(json.dumps(plans.to_dict(), indent=1) if arguments.json else _as_text(plans))
        return OK if plans.chosen else SOME_FAILED
    return _batch(planner, records, arguments.json)


@contextmanager
def _no_collection() -> Iterator[None]:
    """What is imported and traced leaves nothing to collect: looking for it took a tenth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _records(arguments: argparse.Namespace) -> Sequence[Record]:
    if arguments.fasta is None:
        return []
    from ..sequences.fasta import read_fasta

    return read_fasta(arguments.fasta, allow_nucleotide_letters=arguments.allow_nucleotide_letters)


def _planner(arguments: argparse.Namespace) -> Planner:
    from ..planning.plan import Planner
    from ..system.devices import device_here, find_device

    planner = Planner(
        arguments.memory,
        arguments.model,
        arguments.precision,
        arguments.device,
        arguments.placement,
        arguments.host_memory,
        arguments.num_recycles,
    )
    if arguments.calibrate:
        device = device_here(arguments.device)
        if device is None:
            raise InputError(f"--calibrate measures a device, and {arguments.device} is not here")
        find_device(device)
        tell(f"measuring {device}, about 10 seconds")
        planner.calibrate()
    return planner


def _cards(arguments: argparse.Namespace) -> int:
    from ..planning.cards import PRECISIONS, longest_proteins
    from ..planning.facts import FactSource
    from ..run.options import RunOptions

    for option in ("memory", "placement", "host_memory"):
        if getattr(arguments, option) is not None:
            raise InputError(
                f"--cards is of whole cards in each placement: it goes without --{option.replace('_', '-')}"
            )
    RunOptions(model=arguments.model, precision=arguments.precision)  # checks them
    source = FactSource(arguments.model, "cuda", arguments.num_recycles)
    asked = str(source.asked_precision(arguments.precision))
    precisions = PRECISIONS if arguments.precision is None and source.policy is None else (asked,)
    rows = longest_proteins(arguments.model, precisions, stock=arguments.model == DEFAULT_MODEL)
    say(json.dumps([asdict(row) for row in rows], indent=1) if arguments.json else cards_table(rows))
    return OK


def cards_table(rows: Sequence[Longest]) -> str:
    """A line for each precision and placement, a column for each card."""
    lines = ["  residues that fit a card of  " + "".join(f"{size:>6} GB" for size in rows[0].residues)]
    for row in rows:
        name = f"{row.precision}, {row.placement}" + ("" if row.code == "lowmem_fold" else " (stock)")
        cells = "".join(f"{count or '-':>9}" for count in row.residues.values())
        lines.append(f"  {name:<29}{cells}")
    return "\n".join(lines)


def _as_text(plans: Plans) -> str:
    budget = "no budget" if plans.memory_bytes is None else format_memory(plans.memory_bytes)
    head = f"{plans.length:,} residues, {plans.model} on {plans.device}, {plans.num_recycles} recycles, {budget}"
    lines = [head, "", _HEADER, *(_line(each, each == plans.chosen) for each in plans.plans), ""]
    lines += [f"{'->' if plans.chosen else 'no plan:'} {plans.reason}", *(f"   {each}" for each in plans.alternatives)]
    notes = {each.refusal: None for each in plans.plans if not each.possible}
    lines += [f"   * {note}" for note in notes]
    if all(each.seconds is None for each in plans.plans):
        lines.append("   how long it takes is not known: lowmem-fold plan --calibrate measures this machine's devices")
    return "\n".join(lines)


_HEADER = (
    f"   {'precision':<16} {'placement':<9} {'peak':>10} {'in':<6}{'weights':>10} {'+ reserve':>10} {'host':>10}"
    f" {'time':>9}"
)


def _line(plan: Plan, chosen: bool) -> str:
    sizes = (format_memory(size) for size in (plan.peak_bytes, plan.weight_bytes, plan.needed_bytes))
    peak, weights, needed = sizes
    host = format_memory(plan.host_bytes) if plan.host_bytes else "-"
    state = "" if plan.refusal is None else "  too much" if plan.possible else "  not here *"
    return (
        f"{' > ' if chosen else '   '}{plan.precision:<16} {plan.placement:<9} {peak:>10} {plan.phase:<6}{weights:>10}"
        f" {needed:>10} {host:>10} {duration(plan.seconds):>9}{state}"
    )


def duration(seconds: float | None) -> str:
    """For a reader: `8.1 s`, `12 min`, `3.4 h`; `-` of what is not known."""
    if seconds is None:
        return "-"
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _batch(planner: Planner, records: Sequence[Record], as_json: bool) -> int:
    lengths = {record.num_tokens for record in records}
    longest = planner.plans(max(lengths))
    of_length = {n: planner.plans(n, presets=False) for n in sorted(lengths - {longest.length})} | {
        longest.length: longest
    }
    batch = _together(planner, of_length, [record.num_tokens for record in records])
    if as_json:
        each = [{"id": record.id, **of_length[record.num_tokens].to_dict()} for record in records]
        say(json.dumps({"records": each, "batch": batch}, indent=1))
    else:
        say(_batch_text(records, of_length, batch))
    return OK if all(plans.chosen for plans in of_length.values()) else SOME_FAILED


def _together(planner: Planner, of_length: dict[int, Plans], lengths: Sequence[int]) -> dict[str, Any]:
    """One after another, all in the placement that the longest one that fits needs."""
    fitting = [plans for plans in of_length.values() if plans.chosen]
    if not fitting:
        return {"placement": None, "peak_bytes": None, "seconds": None, "records": len(lengths), "fitting": 0}
    placement = max(fitting, key=lambda plans: plans.length).chosen.placement  # type: ignore[union-attr]
    of_placement = {plans.length: next(p for p in plans.plans if p.placement == placement) for plans in fitting}
    taken = [of_placement[length] for length in lengths if length in of_placement]
    seconds = None
    if all(plan.seconds is not None for plan in taken):
        windows = -(-sum(length for length in lengths if length in of_placement) // WINDOW_TOKENS)
        shared = windows * max(plan.shared_seconds or 0.0 for plan in taken)
        seconds = shared + sum((plan.seconds or 0.0) - (plan.shared_seconds or 0.0) for plan in taken)
    return {
        "placement": placement,
        "peak_bytes": max(plan.peak_bytes for plan in taken),
        "seconds": seconds,
        "records": len(lengths),
        "fitting": len(taken),
    }


def _batch_text(records: Sequence[Record], of_length: dict[int, Plans], batch: dict[str, Any]) -> str:
    any_plans = of_length[max(of_length)]
    width = max(6, *(len(record.id) for record in records))
    lines = [f"  {'record':<{width}} {'residues':>8} {'placement':<9} {'peak':>10} {'+ reserve':>10} {'time':>9}"]
    for record in records:
        plans = of_length[record.num_tokens]
        plan = plans.chosen or min(plans.plans[: len(PLACEMENTS)], key=lambda each: each.needed_bytes)
        state = "" if plans.chosen else "  fits nowhere"
        lines.append(
            f"  {record.id:<{width}} {record.num_tokens:>8,} {plan.placement:<9} {format_memory(plan.peak_bytes):>10}"
            f" {format_memory(plan.needed_bytes):>10} {duration(plan.seconds):>9}{state}"
        )
    total = f"{batch['fitting']} of {batch['records']} records fit"
    if batch["fitting"]:
        total += (
            f", together {batch['placement']}: peak {format_memory(batch['peak_bytes'])}, {duration(batch['seconds'])}"
        )
    return "\n".join([*lines, "", total, *(() if any_plans.chosen else (f"longest record: {_as_text(any_plans)}",))])
