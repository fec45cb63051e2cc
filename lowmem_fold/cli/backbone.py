"""The options of a language model that several verbs share; no verb itself."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import BudgetError, InputError, first_line
from ..system.terminal import say, tell

if TYPE_CHECKING:
    from ..backbones.backbone import Backbone
    from ..sequences.records import Record

__all__ = [
    "DEFAULT_BACKBONE",
    "add_file_options",
    "add_letter_options",
    "add_model_options",
    "add_sequence_options",
    "check_file",
    "load",
    "made_by",
    "records",
    "write_file",
]

DEFAULT_BACKBONE = "facebook/esm2_t33_650M_UR50D"


def add_sequence_options(parser: argparse.ArgumentParser, masked: str = "") -> None:
    """Declare `--fasta` and `--sequence`. masked: what help says of masked residues."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "-i", "--fasta", metavar="FASTA", help=f"FASTA file, gzip accepted, - for standard input{masked}"
    )
    source.add_argument("-s", "--sequence", metavar="SEQ", help=f"one sequence instead of a file{masked}")
    add_letter_options(parser)


def add_letter_options(parser: argparse.ArgumentParser) -> None:
    """Declare `--allow-nucleotide-letters`, which every verb has that reads sequences."""
    parser.add_argument(
        "--allow-nucleotide-letters",
        action="store_true",
        help="take sequences that look like DNA or RNA, 15 letters or more of ACGTUN alone, as proteins [refuse them]",
    )


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Declare what `lowmem_fold.load_backbone` takes."""
    parser.add_argument(
        "-m", "--model", metavar="M", default=DEFAULT_BACKBONE, help=f"hub id or local folder [{DEFAULT_BACKBONE}]"
    )
    parser.add_argument(
        "--precision",
        metavar="P",
        help="fp32, fp16, bf16, int8, int4, float8, bnb-int8 or bnb-nf4 [that of a quantized folder, else fp32]",
    )
    parser.add_argument("--device", metavar="D", default="auto", help="auto, cpu, cuda, cuda:N or mps [auto]")
    parser.add_argument(
        "--memory", metavar="SIZE", help="memory of the device that may be used, such as 8GB or 8GiB [all that is free]"
    )
    parser.add_argument(
        "--placement",
        choices=("resident", "streamed"),
        help="where weights live: all on the device, or two layers at a time [the first that fits]",
    )
    parser.add_argument(
        "--attention",
        choices=("auto", "sdpa", "eager"),
        default="auto",
        help="implementation of attention [auto: sdpa where the model has it]",
    )


def add_file_options(parser: argparse.ArgumentParser, metavar: str, help: str) -> None:
    """Declare `--output`, which may be left out, and `--overwrite`."""
    parser.add_argument("-o", "--output", metavar=metavar, help=help)
    parser.add_argument("--overwrite", action="store_true", help="write it in place of a file that is there")


def check_file(arguments: argparse.Namespace) -> None:
    """InputError if what the options of `add_file_options` name cannot be written."""
    from ..system.files import check_output_file

    if arguments.output is not None:
        check_output_file(arguments.output, arguments.overwrite)


def write_file(arguments: argparse.Namespace, text: str) -> None:
    """Write that file. InputError if it cannot be, though it could when the run began."""
    from ..system.files import write_text_atomic

    try:
        write_text_atomic(arguments.output, text)
    except OSError as error:
        raise InputError(f"{arguments.output} could not be written, and is as it was: {error}") from error
    say(f"{arguments.output} is written")


def load(arguments: argparse.Namespace) -> Backbone:
    """The model that the options ask for, told of on standard error. BudgetError if its weights have no room."""
    from ..backbones.loading import load_backbone
    from ..memory.exhaustion import is_out_of_memory

    names = ("precision", "memory", "device", "placement", "attention")
    backbone: Backbone
    try:
        backbone = load_backbone(arguments.model, **{name: getattr(arguments, name) for name in names})
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise BudgetError(
            f"the weights of {arguments.model} have no room on the device ({first_line(error)}): take --placement "
            "streamed, or a smaller --precision, such as int8 or int4"
        ) from None
    told = backbone.describe()
    listed = ", ".join(str(told[name]) for name in ("family", "precision", "attention", "placement", "device"))
    tell(f"{told['model']} ({listed})")
    return backbone


def made_by(backbone: Backbone) -> dict[str, str]:
    """What a file says of the model that made it."""
    return {
        "model": backbone.checkpoint.short_name,
        "precision": str(backbone.precision),
        "attention": backbone.attention,
    }


def records(arguments: argparse.Namespace, masked: bool = False) -> Sequence[Record]:
    """The sequences that the options name, one chain each, by the first words of their headers as they are."""
    from ..backbones.chain import refuse_chains
    from ..sequences.fasta import parse_sequence, read_fasta

    letters = {
        "keep_unusual": True,
        "masked": masked,
        "allow_nucleotide_letters": arguments.allow_nucleotide_letters,
    }
    if arguments.sequence is None:
        found = read_fasta(arguments.fasta, file_names=False, **letters)
    else:
        found = [parse_sequence(arguments.sequence, **letters)]
    for record in found:
        refuse_chains(len(record.chains), record.source)
    return found
