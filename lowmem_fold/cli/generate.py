"""Sample new sequences from a masked language model.

All residues, or those that a template masks, are unmasked step by step: first the positions that the model is surest
of, each with a residue sampled at the temperature. The same options and seed give the same sequences.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import InputError
from ..system.terminal import say
from .backbone import add_file_options, add_letter_options, add_model_options, check_file, load, made_by, write_file
from .main import OK

if TYPE_CHECKING:
    from ..backbones.backbone import Backbone
    from ..backbones.generate import Generated

__all__ = ["add_arguments", "run"]

_LINE = 80


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.usage = "lowmem-fold generate (--length L | --template 'MKT***') [options]"
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--length", metavar="L", type=int, help="how many residues, of a sequence that is all new")
    what.add_argument("--template", metavar="SEQ", help="a sequence with '*' or '<mask>' at the residues to sample")
    add_letter_options(parser)
    parser.add_argument("-n", "--number", metavar="N", type=int, default=1, help="how many sequences [1]")
    parser.add_argument(
        "--temperature",
        metavar="T",
        type=float,
        default=1.0,
        help="above 1 more varied, below 1 less; 0: the most probable residue each time [1]",
    )
    parser.add_argument(
        "--seed",
        metavar="S",
        type=int,
        default=0,
        help="number that the random choice starts from; another seed gives other sequences [0]",
    )
    parser.add_argument(
        "--steps",
        metavar="R",
        type=int,
        help="runs of the model; fewer are quicker and follow the model less closely [one for each residue]",
    )
    add_file_options(parser, "FASTA", "the file to write [standard output]")
    add_model_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Sample and write; returns the exit code."""
    from ..backbones.chain import masked_chain
    from ..backbones.generate import check_sampling, generate

    check_file(arguments)
    letters = arguments.allow_nucleotide_letters
    template = masked_chain(_template(arguments), "the template", letters)
    wanted = {name: getattr(arguments, name) for name in ("number", "temperature", "seed", "steps")}
    check_sampling(template, **wanted)
    backbone = load(arguments)
    found = generate(backbone, template, **wanted, allow_nucleotide_letters=letters)
    text = _fasta(found, backbone, arguments)
    if arguments.output is None:
        say(text, end="")
    else:
        write_file(arguments, text)
    return OK


def _template(arguments: argparse.Namespace) -> str:
    if arguments.template is not None:
        return str(arguments.template)
    if arguments.length < 1:
        raise InputError(f"--length: a sequence has 1 residue at least; this is {arguments.length}")
    return "*" * arguments.length


def _fasta(found: Sequence[Generated], backbone: Backbone, arguments: argparse.Namespace) -> str:
    steps = "" if arguments.steps is None else f" steps={arguments.steps}"
    how = f"temperature={arguments.temperature:g} seed={arguments.seed}{steps}"
    model = " ".join(f"{name}={value}" for name, value in made_by(backbone).items())
    return "".join(
        f">generated_{number} log_probability={each.log_probability:.3f} {how} {model}\n{_wrapped(each.sequence)}"
        for number, each in enumerate(found, start=1)
    )


def _wrapped(sequence: str) -> str:
    return "".join(sequence[start : start + _LINE] + "\n" for start in range(0, len(sequence), _LINE))
