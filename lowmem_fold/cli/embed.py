"""Write the embeddings of the sequences of a FASTA file: one vector for each residue, or one for each protein.

The ending of the output says what it is: .h5 (HDF5, a dataset for each id), .sqlite, .safetensors or .pt. Each sequence
is run once, similar lengths together; records are in the order of the input. Run the same command again after an
interruption: it resumes. A file that exists is added to, if model, precision, layers and poolings are the same.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..backbones.pooling import POOLS
from ..backbones.recipe import LONG, make_recipe
from ..backbones.stores import ENDINGS, check_ending
from ..errors import DeviceFailedError, InputError, WeightsLostError
from ..system.terminal import say, tell
from .backbone import add_model_options, add_sequence_options, load, records
from .main import OK, SOME_FAILED

if TYPE_CHECKING:
    from ..backbones.embed_run import EmbedSummary

__all__ = ["add_arguments", "run"]

_MAX_LISTED = 10
_EPILOG = """\
exit codes:
  0    all records are embedded
  1    some records failed, the others are in the file; or the run could not end, and the same command resumes
  2    the input or an option is wrong, or the model is not available: nothing was embedded
  130  interrupted by Ctrl-C (143 by SIGTERM); the same command resumes
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.usage = "lowmem-fold embed (FASTA | -s SEQ) -o FILE [options]"
    parser.epilog = _EPILOG
    add_sequence_options(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE", required=True, help=f"the file to write: {', '.join(ENDINGS)}"
    )
    parser.add_argument(
        "--layers",
        metavar="L",
        default="last",
        help="last; first (after the embedding); all; a number from 0, or from -1 back (--layers=-2); a list such as "
        "0,6,last; a weighted mix such as 6=0.25,last=0.75 [last]",
    )
    parser.add_argument(
        "--pool",
        metavar="P[,P...]",
        help=f"one vector for a protein: {', '.join(POOLS)} over its residues; several are joined end to end [none]",
    )
    parser.add_argument(
        "--residues", action="store_true", help="with --pool, keep the vectors of the residues too [without --pool]"
    )
    parser.add_argument(
        "--long",
        choices=LONG,
        default="refuse",
        help="sequences longer than the model takes: refuse them, truncate them at the end, or run overlapping windows "
        "[refuse]",
    )
    parser.add_argument(
        "--max-length",
        metavar="N",
        type=int,
        help="residues from which on a sequence is too long, if fewer than the model takes",
    )
    parser.add_argument("--overlap", metavar="N", type=int, help="residues that windows share [a quarter of a window]")
    parser.add_argument(
        "--max-tokens-per-batch",
        metavar="N",
        type=int,
        help="run up to N residues at once, padding included [what is worthwhile and fits]",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    add_model_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Embed what the options say; returns the exit code."""
    check_ending(arguments.output)
    recipe = make_recipe(
        arguments.layers,
        arguments.pool,
        arguments.residues or None,
        arguments.long,
        arguments.max_length,
        arguments.overlap,
    )
    if arguments.max_tokens_per_batch is not None and arguments.max_tokens_per_batch < 1:
        raise InputError(f"--max-tokens-per-batch must be 1 or more; it is {arguments.max_tokens_per_batch}")
    found = records(arguments)
    from ..backbones.embed_run import embed_records
    from ..run.stopping import Stopped, StopSignals

    try:
        with StopSignals(), _bar() as progress:
            summary = embed_records(
                found,
                arguments.output,
                lambda: load(arguments),
                recipe,
                {"model": arguments.model, "precision": arguments.precision},
                max_tokens=arguments.max_tokens_per_batch,
                overwrite=arguments.overwrite,
                progress=progress,
            )
    except Stopped as stop:
        tell(f"stopped by {stop}; run the same command again to resume")
        return stop.exit_code
    except (OSError, WeightsLostError, DeviceFailedError) as error:
        tell(f"error: {error}. What is finished is intact; run the same command again to resume")
        return SOME_FAILED
    _report(summary, len(found), arguments.output)
    return SOME_FAILED if summary.failed else OK


@contextmanager
def _bar() -> Iterator[Callable[[float], None]]:
    """Where standard error is a terminal: to be called with the part, 0 to 1, that is done."""
    from tqdm import tqdm

    layout = "|{bar}| {percentage:3.0f}% [{elapsed}, {remaining} left]"
    with tqdm(total=1.0, bar_format=layout, smoothing=0, leave=False, disable=None) as shown:
        yield lambda part: shown.update(max(0.0, part - shown.n))


def _report(summary: EmbedSummary, number: int, out: str) -> None:
    if summary.truncated:
        cut = [f"{id} (to {length})" for id, length in summary.truncated.items()]
        tell(f"warning: truncated, as --long says: {_listed(cut)}")
    if summary.renewed:
        tell(f"warning: damaged before, and made anew: {_listed(summary.renewed)}")
    if summary.lost:
        tell(
            f"warning: damaged in {out}, and left out, as they are not of this input (embed theirs to have them again):"
            f" {_listed(summary.lost)}"
        )
    if summary.kept:
        tell(f"{summary.kept} finished embeddings of other records, of an interrupted run, are kept for its input")
    if summary.placement is not None:
        tell(f"memory was short: weights were {summary.placement} at the end (--placement {summary.placement})")
    counts = {
        "embedded": len(summary.embedded),
        "there before": len(summary.skipped),
        "failed": len(summary.failed),
    }
    listed = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    once = f" ({summary.unique} different sequences)" if summary.unique < len(summary.embedded) else ""
    say(f"{number} record{'s' if number != 1 else ''}: {listed}{once}. {_where(summary, out)}")
    for id, reason in list(summary.failed.items())[:_MAX_LISTED]:
        tell(f"FAILED: {id}: {reason}")
    if summary.failed:
        from ..backbones.embed_run import log_file

        tell(f"{len(summary.failed)} FAILED; tracebacks are in {log_file(out)}")


def _where(summary: EmbedSummary, out: str) -> str:
    """Where embeddings are, if there are any."""
    if summary.embedded or summary.skipped:
        return f"They are in {out}"
    return f"{out} is {'as it was' if Path(out).exists() else 'not written'}"


def _listed(texts: Iterable[str]) -> str:
    texts = list(texts)
    more = len(texts) - _MAX_LISTED
    return ", ".join(texts[:_MAX_LISTED]) + (f" and {more} more" if more > 0 else "")
