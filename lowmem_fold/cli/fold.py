"""Predict the structures of the sequences of a FASTA file.

For each record the output folder gets <id>.pdb (pLDDT in the B-factor), <id>.scores.json, and what else is asked for.
For the run it gets scores.jsonl (a line for each record, with its status: ok, suspect or failed), config.json (settings
and versions) and lowmem_fold.log. Run the same command again after an interruption: finished records are skipped.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DeviceFailedError, InputError, OutputLostError
from ..families.registry import DEFAULT_MODEL
from ..planning.options import PLACEMENTS
from ..run.options import FORMATS, RunOptions
from ..system.terminal import say, tell
from .backbone import add_letter_options
from .main import OK, SOME_FAILED

if TYPE_CHECKING:
    from ..run.folding import RunSummary
    from ..sequences.records import Record

__all__ = ["add_arguments", "run"]

_MAX_LISTED = 10
_EXIT_CODES = """\
exit codes:
  0    all records are folded (those marked suspect are written, and named at the end)
  1    some records failed, the others are written; or results could not be written, or their folder was removed
  2    the input or an option is wrong, or the model cannot be had: nothing was folded
  130  interrupted by Ctrl-C (143 by SIGTERM); the same command goes on
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    default = RunOptions()
    parser.epilog = _EXIT_CODES
    parser.usage = "lowmem-fold fold (-i FASTA | --sequence SEQ) -o FOLDER [options]"
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "-i", "--fasta", metavar="FASTA", help="FASTA file, gzip accepted, - for standard input; ':' between chains"
    )
    source.add_argument(
        "--sequence", metavar="SEQ", help="one sequence instead of a file; its files are named 'sequence'"
    )
    add_letter_options(parser)
    parser.add_argument("-o", "--output", metavar="FOLDER", required=True, help="where results go; made if need be")
    parser.add_argument(
        "--model",
        metavar="M",
        default=default.model,
        help=f"hub id, local folder, or demo (small, comes with the package, works offline) [{DEFAULT_MODEL}]",
    )
    parser.add_argument(
        "--precision",
        metavar="P",
        help="fp32, fp16, bf16, int8, int4, float8, bnb-int8, bnb-nf4, or PART=FORMAT,... with the parts stem, trunk, "
        "pair-modules, structure, and pair for the pair state [that of a quantized folder, else fp32]",
    )
    parser.add_argument(
        "--num-recycles",
        metavar="N",
        type=int,
        default=default.num_recycles,
        help=f"passes through the trunk after the first one [{default.num_recycles}]",
    )
    parser.add_argument(
        "--recycle-tolerance",
        metavar="A",
        type=float,
        help="stop recycling when the CA distances change by less than so many Angstrom [never]",
    )
    parser.add_argument(
        "--device",
        metavar="D",
        default=default.device,
        help="auto, cpu, cuda, cuda:N or mps [auto: CUDA where there is one, else the CPU]",
    )
    parser.add_argument(
        "--memory",
        metavar="SIZE",
        help="memory of the device that may be used, such as 8GB (8 x 10^9 bytes) or 8GiB; what does not fit in the "
        "fastest placement gets a slower one [all that is free]",
    )
    parser.add_argument(
        "--host-memory", metavar="SIZE", help="main memory that may be used beside a GPU [all that is free]"
    )
    parser.add_argument(
        "--placement",
        choices=PLACEMENTS,
        help="where weights live: all on the device, those of the present phase, or two layers at a time [the fastest "
        "that fits]",
    )
    parser.add_argument(
        "--allow-precision",
        metavar="P[,P...]",
        type=_precisions,
        action="extend",
        default=[],
        help="what a record may be folded in that fits in no placement, such as int8,int4; its line says so [none]",
    )
    parser.add_argument(
        "--stem-cache",
        metavar="FOLDER",
        help="keep the language model's results there, and take them from there, also with other recycles",
    )
    parser.add_argument(
        "--chunk-size", metavar="N", type=int, help="rows of the pair state worked on at once; less needs less memory"
    )
    parser.add_argument(
        "--max-tokens-per-batch",
        metavar="N",
        type=int,
        help="fold short sequences together, up to so many residues, shortest first [one at a time, as in the file]",
    )
    parser.add_argument("--format", choices=list(FORMATS), default=default.format, help="structure files [pdb]")
    parser.add_argument("--save-pae", action="store_true", help="write <id>.pae.json as the AlphaFold database does")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="fold finished records again, with other settings if these are other, and remove their files of formats "
        "that are not asked for",
    )
    parser.add_argument(
        "--adopt",
        action="store_true",
        help="write a lost or damaged config.json anew, if all results in the folder have the settings given now",
    )


def run(arguments: argparse.Namespace) -> int:
    """Fold what the options say; returns the exit code."""
    options = _options(arguments)
    if not arguments.output.strip():
        raise InputError("-o is empty: name the folder that results go into.")
    records = _records(arguments)
    _warn(records)
    from ..run.folding import fold_records
    from ..run.progress import Progress
    from ..run.stopping import Stopped, StopSignals

    try:
        with StopSignals() as stops:
            summary = fold_records(records, arguments.output, options, progress=Progress(), stops=stops)
    except Stopped as stop:
        tell(f"stopped by {stop}; {_how_to_go_on(options)}")
        return stop.exit_code
    except OutputLostError as error:
        tell(f"error: {error}")
        return SOME_FAILED
    except (OSError, DeviceFailedError) as error:
        tell(f"error: {error}. What is finished in {arguments.output} is sound; {_how_to_go_on(options)}")
        return SOME_FAILED
    _report(summary, len(records), Path(arguments.output))
    return SOME_FAILED if summary.failed else OK


def _options(arguments: argparse.Namespace) -> RunOptions:
    names = RunOptions.__dataclass_fields__
    values = {name: getattr(arguments, name) for name in names}
    return RunOptions(**{**values, "allow_precision": tuple(values["allow_precision"])})


def _precisions(text: str) -> list[str]:
    """The presets of a list; what has a `=` is one precision, whose parts are separated by commas as well."""
    return [text] if "=" in text else [word.strip() for word in text.split(",")]


def _records(arguments: argparse.Namespace) -> Sequence[Record]:
    from ..sequences.fasta import parse_sequence, read_fasta

    if arguments.sequence is None:
        return read_fasta(arguments.fasta, allow_nucleotide_letters=arguments.allow_nucleotide_letters)
    if not arguments.sequence.strip():
        raise InputError("--sequence is empty.")
    return [parse_sequence(arguments.sequence, allow_nucleotide_letters=arguments.allow_nucleotide_letters)]


def _warn(records: Sequence[Record]) -> None:
    warnings = [f"{record.source}: {warning}" for record in records for warning in record.warnings]
    for warning in warnings[:_MAX_LISTED]:
        tell(f"warning: {warning}")
    if len(warnings) > _MAX_LISTED:
        tell(f"warning: and {len(warnings) - _MAX_LISTED} more such changes; scores.jsonl has them all")


def _report(summary: RunSummary, number: int, out: Path) -> None:
    counts = {
        "folded": len(summary.folded),
        "of these suspect": len(summary.suspect),
        "finished before": len(summary.skipped),
        "failed": len(summary.failed),
    }
    listed = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    say(f"{number} record{'s' if number != 1 else ''}: {listed}. Results are in {out}")
    if summary.lowered:
        tell(f"in a LOWER PRECISION, as memory was short: {_listed(summary.lowered)}")
    if summary.damaged:
        tell(f"DAMAGED since they were written, and so folded again: {_listed(summary.damaged)}")
    if summary.incomplete:
        tell(f"INCOMPLETE, written as mmCIF alone, as PDB cannot hold them: {_listed(summary.incomplete)}")
    if summary.other_files:
        tell(
            f"from an earlier fold, in a format not asked for now: {_listed(summary.other_files)} (--overwrite folds "
            "again and removes such files)"
        )
    if summary.absent:
        tell(f"in {out}, but not in the input: {_listed(summary.absent)}")
    if summary.suspect:
        tell(f"SUSPECT, the reasons are in {out / 'scores.jsonl'}: {_listed(summary.suspect)}")
    if summary.failed:
        tell(f"FAILED, tracebacks are in {out / 'lowmem_fold.log'}: {_listed(summary.failed)}")


def _listed(ids: Sequence[str]) -> str:
    more = len(ids) - _MAX_LISTED
    return ", ".join(ids[:_MAX_LISTED]) + (f" and {more} more" if more > 0 else "")


def _how_to_go_on(options: RunOptions) -> str:
    if options.overwrite:
        return "the same command without --overwrite goes on (what was finished before, with the same settings, stays)"
    return "run the same command again to go on"
