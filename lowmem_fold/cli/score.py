"""Score sequences, or mutations of them, with a masked language model; writes a CSV file.

Without mutations: the pseudo-perplexity of each sequence, from one run of the model for each residue, with that residue
masked. With mutations: the masked-marginal score of each, log p(mutant) - log p(wild type), summed over the mutated
positions, all of which are masked; above 0 the model prefers the mutant. Run the same command again after an
interruption: it resumes.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..system.terminal import say, tell
from .backbone import add_model_options, add_sequence_options, load, records
from .main import OK, SOME_FAILED

if TYPE_CHECKING:
    from ..backbones.likelihood import LikelihoodTask
    from ..backbones.score_table import TableSummary
    from ..backbones.variants import VariantsTask
    from ..sequences.records import Record

    _Tasks = Sequence[tuple[Record, LikelihoodTask | VariantsTask]]

__all__ = ["add_arguments", "run"]

_MAX_LISTED = 10
_EPILOG = """\
columns of the table:
  without mutations  id, length, scored (residues that are one of the 20 amino acids), log_likelihood (the sum of
                     log p), pseudo_perplexity (exp of minus the mean log p; 20 is a guess)
  with mutations     id, mutation, score

Next to the table, CSV.settings.json says which model and settings it was made with.

exit codes:
  0    the table is written
  1    some sequences failed, the others are in the table; or it could not be written
  2    the input or an option is wrong, or the model is not available: nothing was scored
  130  interrupted by Ctrl-C (143 by SIGTERM); the same command resumes
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.usage = "lowmem-fold score (FASTA | -s SEQ) -o CSV [--mutations M,... | --mutations-file FILE] [options]"
    parser.epilog = _EPILOG
    add_sequence_options(parser)
    parser.add_argument("-o", "--output", metavar="CSV", required=True, help="the table to write")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--mutations",
        metavar="M[,M...]",
        help="e.g. A123V, positions from 1; A12V:G40D for several in one variant; or all: every single substitution",
    )
    what.add_argument(
        "--mutations-file",
        metavar="FILE",
        help="CSV with the columns id and mutation; for a single sequence, a list with one mutation a line will do",
    )
    parser.add_argument(
        "--long",
        choices=("refuse", "windows"),
        default="refuse",
        help="sequences longer than the model takes: refuse them, or use a window around the masked residues [refuse]",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a table that is there")
    add_model_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Score and write; returns the exit code."""
    from ..backbones.score_table import check_table
    from ..run.stopping import Stopped, StopSignals

    out = Path(arguments.output)
    check_table(out, arguments.overwrite)
    tasks = _tasks(arguments, records(arguments))
    try:
        with StopSignals():
            return _score(arguments, tasks, out)
    except Stopped as stop:
        tell(f"stopped by {stop}; run the same command again to resume")
        return stop.exit_code
    except OSError as error:
        tell(f"error: {error}. What was found is kept; run the same command again to resume")
        return SOME_FAILED


def _score(arguments: argparse.Namespace, tasks: _Tasks, out: Path) -> int:
    from tqdm import tqdm

    from ..backbones.score import check_tasks
    from ..backbones.score_table import is_finished, table_settings, write_table

    backbone = load(arguments)
    check_tasks(backbone, [(record.source, task) for record, task in tasks], arguments.long)
    by_id = [(record.id, task) for record, task in tasks]
    settings = table_settings(backbone, by_id, arguments.long)
    if is_finished(out, settings, arguments.overwrite):
        say(f"{out} was finished before")
        return OK
    total = sum(len(task.queries) for task in {task for _, task in tasks})
    with tqdm(total=total, unit="run", unit_scale=True, smoothing=0, leave=False, disable=None) as bar:
        summary = write_table(backbone, by_id, out, settings, arguments.overwrite, bar.update)
    _report(summary, total, out)
    return SOME_FAILED if summary.failed else OK


def _report(summary: TableSummary, total: int, out: Path) -> None:
    before = f", {summary.known} of {total} runs of the model before" if summary.known else ""
    if summary.placement is not None:
        tell(f"memory was short: weights were {summary.placement} at the end (--placement {summary.placement})")
    if summary.others:
        tell(f"{summary.others} answers of an interrupted run with another input are kept next to {out}")
    if summary.written:
        say(f"{out}: written ({_counted(summary.written, 'sequence')}{before})")
    else:
        say(f"{out}: not written, as no sequence could be scored")
    for id, reason in list(summary.failed.items())[:_MAX_LISTED]:
        tell(f"FAILED: {id}: {reason}")
    if summary.failed:
        from ..backbones.embed_run import log_file

        tell(f"{len(summary.failed)} FAILED; tracebacks are in {log_file(out)}")


def _tasks(arguments: argparse.Namespace, found: Sequence[Record]) -> _Tasks:
    from ..backbones.chain import plain_chain
    from ..backbones.likelihood import LikelihoodTask
    from ..backbones.variants import VariantsTask

    sequences = {record.id: plain_chain(record, record.source) for record in found}
    if arguments.mutations is None and arguments.mutations_file is None:
        return [(record, LikelihoodTask(sequences[record.id])) for record in found]
    mutations = _mutations(arguments, found)
    return [
        (record, VariantsTask.of(sequences[record.id], mutations[record.id], record.source))
        for record in found
        if record.id in mutations
    ]


def _mutations(arguments: argparse.Namespace, found: Sequence[Record]) -> Mapping[str, str | Sequence[str]]:
    """What is asked for, by the id of the sequence."""
    from ..backbones.mutations import ALL_MUTATIONS
    from ..backbones.variant_files import read_variants

    if arguments.mutations_file is not None:
        listed = read_variants(arguments.mutations_file, [record.id for record in found])
        without = len(found) - len(listed)
        if without:
            tell(f"{_counted(without, 'sequence')} without mutations, left out")
        return listed
    if arguments.mutations.strip().lower() == ALL_MUTATIONS:
        return {record.id: ALL_MUTATIONS for record in found}
    if len(found) > 1:
        raise InputError(
            f"--mutations: there are {len(found)} sequences; list the mutations of each in a file (--mutations-file) "
            f"with the columns id and mutation, or give {ALL_MUTATIONS}"
        )
    return {found[0].id: [word.strip() for word in arguments.mutations.split(",")]}


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
