"""Say which residues a language model expects at masked positions.

All masked positions of a sequence are masked together. Probabilities are over the 20 amino acids: those of a position
sum to 1.
"""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..system.terminal import say
from .backbone import (
    add_file_options,
    add_model_options,
    add_sequence_options,
    check_file,
    load,
    made_by,
    records,
    write_file,
)
from .main import OK

if TYPE_CHECKING:
    from ..backbones.fill import Filled
    from ..sequences.records import Record

__all__ = ["add_arguments", "run"]

_MOST = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.usage = "lowmem-fold fill (-s 'MKT*LV' | FASTA) [options]"
    add_sequence_options(parser, "; '*' or '<mask>' for masked residues")
    parser.add_argument(
        "-k",
        metavar="K",
        type=int,
        choices=range(1, 21),
        default=_MOST,
        help=f"how many residues to show at a position, 1 to 20 [{_MOST}]",
    )
    add_file_options(parser, "CSV", "write a table: id, position, rank, residue, probability, and what it was made by")
    add_model_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Fill the masks; returns the exit code."""
    from ..backbones.fill import check_masked, fill

    check_file(arguments)
    found = records(arguments, masked=True)
    for record in found:
        check_masked(record.sequence, record.source)
    backbone = load(arguments)
    filled = fill(backbone, found, arguments.k, names=[record.source for record in found])
    if arguments.output is None:
        say("\n\n".join(_text(record, each) for record, each in zip(found, filled, strict=True)))
    else:
        write_file(arguments, _table(found, filled, made_by(backbone)))
    return OK


def _text(record: Record, filled: Filled) -> str:
    width = len(str(len(filled.sequence)))
    lines = [
        f"{filling.position:>{width}}  "
        + "  ".join(f"{r} {p:.3f}" for r, p in zip(filling.residues, filling.probabilities, strict=True))
        for filling in filled.fillings
    ]
    return "\n".join([f"{record.id}: {filled.sequence}", *lines, f"best: {filled.best}"])


def _table(found: Sequence[Record], filled: Sequence[Filled], made: Mapping[str, str]) -> str:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("id", "position", "rank", "residue", "probability", *made))
    for record, each in zip(found, filled, strict=True):
        for filling in each.fillings:
            pairs = zip(filling.residues, filling.probabilities, strict=True)
            for rank, (residue, probability) in enumerate(pairs, start=1):
                writer.writerow((record.id, filling.position, rank, residue, f"{probability:.6f}", *made.values()))
    return table.getvalue()
