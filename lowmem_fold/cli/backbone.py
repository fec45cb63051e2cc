"""Options that several commands share, those of a language model above all."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import BudgetError, InputError, first_line
from ..system.devices import device_word
from ..system.terminal import say, tell

if TYPE_CHECKING:
    from ..backbones.backbone import Backbone
    from ..sequences.records import Record

__all__ = [
    "DEFAULT_BACKBONE",
    "add_device",
    "add_fasta",
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


def add_fasta(source: argparse._MutuallyExclusiveGroup, more: str = "") -> None:
    """Declare the FASTA file, with `-i` before it or not. more: what else its help says."""
    # SUPPRESS: where there is none, the value of -i stays
    source.add_argument("fasta", metavar="FASTA", nargs="?", default=argparse.SUPPRESS, help="FASTA file, as with -i")
    source.add_argument("-i", "--fasta", metavar="FASTA", help=f"FASTA file, plain or gzip, - for standard input{more}")


def add_device(group: argparse._ActionsContainer) -> None:
    """Declare `--device`."""
    group.add_argument(
        "--device",
        metavar="D",
        type=device_word,
        default="auto",
        help="auto, cpu, gpu (the same as cuda), cuda:N for one of several, or mps (Apple) [auto: a CUDA GPU if there "
        "is one, else the CPU]",
    )


def add_sequence_options(parser: argparse.ArgumentParser, masked: str = "") -> None:
    """Declare the FASTA file and `--sequence`. masked: what help says of masked residues."""
    source = parser.add_mutually_exclusive_group(required=True)
    add_fasta(source, masked)
    source.add_argument("-s", "--sequence", metavar="SEQ", help=f"one sequence instead of a file{masked}")
    add_letter_options(parser)


def add_letter_options(parser: argparse._ActionsContainer) -> None:
    """Declare `--allow-nucleotide-letters`, which every command has that reads sequences."""
    parser.add_argument(
        "--allow-nucleotide-letters",
        action="store_true",
        help="take sequences that look like DNA or RNA (15 letters or more, all of ACGTUN) as proteins [refuse them]",
    )


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Declare what `lowmem_fold.load_backbone` takes."""
    parser.add_argument(
        "-m",
        "--model",
        metavar="M",
        default=DEFAULT_BACKBONE,
        help=f"model on the Hugging Face hub, or local folder [{DEFAULT_BACKBONE}]",
    )
    parser.add_argument(
        "--precision",
        metavar="P",
        help="how weights are stored: fp32, fp16, bf16, int8, int4, float8, bnb-int8 or bnb-nf4 [that of a quantized "
        "folder, else fp32]",
    )
    add_device(parser)
    parser.add_argument(
        "--memory", metavar="SIZE", help="memory of the device that may be used, e.g. 8GB or 8GiB [all that is free]"
    )
    parser.add_argument(
        "--placement",
        choices=("resident", "streamed"),
        help="weights on the device: all (resident), or two layers at a time (streamed) [the first that fits]",
    )
    parser.add_argument(
        "--attention",
        choices=("auto", "sdpa", "eager"),
        default="auto",
        help="how attention is computed: sdpa is torch's fast way [auto: sdpa where the model has it]",
    )


def add_file_options(parser: argparse.ArgumentParser, metavar: str, help: str) -> None:
    """Declare `--output`, which may be left out, and `--overwrite`."""
    parser.add_argument("-o", "--output", metavar=metavar, help=help)
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")


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
        raise InputError(f"{arguments.output} could not be written, and is unchanged: {error}") from error
    say(f"{arguments.output}: written")


def load(arguments: argparse.Namespace) -> Backbone:
    """Load the model that the options ask for and name it on standard error. BudgetError if its weights do not fit."""
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
            f"the weights of {arguments.model} do not fit in the memory of the device ({first_line(error)}): use "
            "--placement streamed, or a smaller --precision, such as int8 or int4"
        ) from None
    told = backbone.describe()
    listed = ", ".join(str(told[name]) for name in ("family", "precision", "attention", "placement", "device"))
    tell(f"{told['model']} ({listed})")
    return backbone


def made_by(backbone: Backbone) -> dict[str, str]:
    """Return what a file says of the model that made it."""
    return {
        "model": backbone.checkpoint.short_name,
        "precision": str(backbone.precision),
        "attention": backbone.attention,
    }


def records(arguments: argparse.Namespace, masked: bool = False) -> Sequence[Record]:
    """Read the sequences that the options name, one chain each, known by the first word of their headers."""
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
