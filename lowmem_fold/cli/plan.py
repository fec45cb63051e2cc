"""Say what a fold will need before it runs: memory and time, and which placement and precision to choose.

Neither the weights nor the device need be on this machine: --device gpu --memory 8GB plans for a card of 8 GB. Where
the device is here, its speed is measured once (about 10 seconds on an idle machine) and kept, to predict times.
"""

from __future__ import annotations

import argparse
import gc
import json
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..families.registry import DEFAULT_MODEL
from ..memory.budget import format_memory
from ..planning.options import PLACEMENTS
from ..run.options import RunOptions
from ..run.order import WINDOW_TOKENS
from ..system.devices import device_here, find_device, named_device
from ..system.terminal import say, tell
from .backbone import add_device, add_fasta, add_letter_options
from .main import OK, SOME_FAILED
from .plan_text import batch_text, cards_table, plans_text

if TYPE_CHECKING:
    from ..planning.plan import Planner, Plans
    from ..sequences.records import Record

__all__ = ["add_arguments", "run"]

#: Slowest turn to fastest: 1 where the machine has nothing else to do.
_BUSY = 1.5
_EXIT_CODES = """\
exit codes:
  0  a plan for every record
  1  a record fits in no placement of the precision asked for
  2  the input or an option is wrong, or the model is not known here
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.epilog = _EXIT_CODES
    parser.usage = "lowmem-fold plan (-L N | FASTA | --cards) [--memory 8GB] [options]"
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "-L",
        "--length",
        metavar="N",
        type=int,
        help="number of residues; for a complex, of all chains, and 25 for each chain after the first (its linker)",
    )
    add_fasta(what, "; each record, and all of them together")
    what.add_argument(
        "--cards",
        action="store_true",
        help="the longest protein for each size of graphics card, compared with stock transformers",
    )
    add_letter_options(parser)
    parser.add_argument(
        "--memory",
        metavar="SIZE",
        help="memory of the device that may be used, e.g. 8GB (8 x 10^9 bytes) or 8GiB [what is free on it]",
    )
    parser.add_argument(
        "--host-memory", metavar="SIZE", help="main memory (RAM) for weights that are not on the GPU [not limited]"
    )
    parser.add_argument(
        "-m",
        "--model",
        metavar="M",
        default=DEFAULT_MODEL,
        help=f"model on the Hugging Face hub, local folder, or demo [{DEFAULT_MODEL}]",
    )
    parser.add_argument(
        "--precision",
        metavar="P",
        help="how weights are stored, as for lowmem-fold fold [that of a quantized folder, else fp32]",
    )
    add_device(parser)
    parser.add_argument(
        "--placement", choices=PLACEMENTS, help="plan for this placement of the weights only [the fastest that fits]"
    )
    parser.add_argument("--num-recycles", metavar="N", type=int, default=3, help="passes after the first one [3]")
    parser.add_argument(
        "--calibrate",
        action=argparse.BooleanOptionalAction,
        help="measure the speed of the device again, or do not measure it [once, if it is here; not with --json]",
    )
    parser.add_argument(
        "--all", action="store_true", help="show every precision in every placement [the rows that matter]"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object with all plans, sizes in bytes")


def run(arguments: argparse.Namespace) -> int:
    """Print the plans; returns the exit code."""
    if arguments.cards:
        return _cards(arguments)
    if arguments.length is not None and arguments.length < 1:
        raise InputError(f"--length must be a whole number of residues, 1 or more; it is {arguments.length}")
    records = _records(arguments)
    planner = _planner(arguments)
    if arguments.fasta is None:
        with _no_collection():
            plans = planner.plans(arguments.length)
        if arguments.json:
            say(json.dumps(plans.to_dict(), indent=1))
        else:
            text = plans_text(
                plans,
                _budget(arguments, plans),
                _fold_command(arguments),
                all_rows=arguments.all,
                notes=_notes(arguments),
            )
            say(text)
        return OK if plans.chosen else SOME_FAILED
    return _batch(planner, records, arguments)


def _budget(arguments: argparse.Namespace, plans: Plans) -> str:
    """The memory that may be used, as it was given, for the middle of a sentence; empty if it is not known."""
    if plans.memory_bytes is None:
        return ""
    size = format_memory(plans.memory_bytes)
    return f"the {size} that are free" if arguments.memory is None else f"{arguments.memory} ({size})"


def _notes(arguments: argparse.Namespace) -> list[str]:
    """How to plan for a card, where somebody may have meant one."""
    if arguments.memory is None or arguments.device != "auto" or named_device("auto") != "cpu":
        return []
    return [
        "This plans for the CPU, as no GPU was found here. For a card of that size: add --device gpu; for all sizes:"
        " lowmem-fold plan --cards"
    ]


def _fold_command(arguments: argparse.Namespace) -> str:
    words = ["lowmem-fold", "fold", arguments.fasta or "proteins.fasta", "-o", "out/"]
    if arguments.model != DEFAULT_MODEL:
        words += ["--model", arguments.model]
    for name in ("precision", "memory", "host_memory", "placement"):
        if getattr(arguments, name) is not None:
            words += [f"--{name.replace('_', '-')}", getattr(arguments, name)]
    if arguments.device != "auto":
        words += ["--device", arguments.device]
    if arguments.num_recycles != RunOptions.num_recycles:
        words += ["--num-recycles", str(arguments.num_recycles)]
    return shlex.join(words)


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
    if arguments.fasta.isdecimal() and not Path(arguments.fasta).exists():
        raise InputError(
            f"{arguments.fasta}: no such file. To plan for {arguments.fasta} residues: -L {arguments.fasta}"
        )
    from ..sequences.fasta import read_fasta

    return read_fasta(arguments.fasta, allow_nucleotide_letters=arguments.allow_nucleotide_letters)


def _planner(arguments: argparse.Namespace) -> Planner:
    """Return the planner, once the device's speed is known, if it is to be known."""
    from ..planning.plan import Planner

    planner = Planner(  # refuses what is wrong before anything is measured
        arguments.memory,
        arguments.model,
        arguments.precision,
        arguments.device,
        arguments.placement,
        arguments.host_memory,
        arguments.num_recycles,
    )
    device = device_here(arguments.device)
    if device is None and arguments.calibrate:
        raise InputError(f"--calibrate measures a device, and {arguments.device} is not here")
    asked = arguments.calibrate if arguments.calibrate is not None or arguments.json else not planner.knows_speed
    if device is None or not asked:
        return planner
    find_device(device)
    tell(f"measuring how fast {device} is: about 10 seconds, once on this machine (--no-calibrate: not at all)")
    if planner.calibrate().spread > _BUSY:
        tell("the machine was busy meanwhile: times may be too high (--calibrate measures again)")
    return planner


def _cards(arguments: argparse.Namespace) -> int:
    from ..planning.cards import PRECISIONS, longest_proteins
    from ..planning.facts import FactSource

    for option in ("memory", "placement", "host_memory"):
        if getattr(arguments, option) is not None:
            raise InputError(f"--cards shows whole cards in each placement: leave out --{option.replace('_', '-')}")
    RunOptions(model=arguments.model, precision=arguments.precision)  # checks them
    source = FactSource(arguments.model, "cuda", arguments.num_recycles)
    asked = str(source.asked_precision(arguments.precision))
    precisions = PRECISIONS if arguments.precision is None and source.policy is None else (asked,)
    rows = longest_proteins(arguments.model, precisions, stock=arguments.model == DEFAULT_MODEL)
    say(json.dumps([asdict(row) for row in rows], indent=1) if arguments.json else cards_table(rows))
    return OK


def _batch(planner: Planner, records: Sequence[Record], arguments: argparse.Namespace) -> int:
    lengths = {record.num_tokens for record in records}
    longest = planner.plans(max(lengths))
    of_length = {n: planner.plans(n, presets=False) for n in sorted(lengths - {longest.length})} | {
        longest.length: longest
    }
    batch = _together(planner, of_length, [record.num_tokens for record in records])
    if arguments.json:
        each = [{"id": record.id, **of_length[record.num_tokens].to_dict()} for record in records]
        say(json.dumps({"records": each, "batch": batch}, indent=1))
    else:
        say(batch_text(records, of_length, batch, _budget(arguments, longest)))
        for line in [*_notes(arguments), f"To fold with this plan: {_fold_command(arguments)}"]:
            say(line)
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
