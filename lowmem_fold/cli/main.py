"""``lowmem-fold``: finds the command and says in one line what went wrong."""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

from ..errors import LowmemFoldError
from ..system.suggestions import did_you_mean, nearest
from ..system.terminal import PROGRAM, printable, tell
from ..system.versions import package_version

__all__ = ["main", "whole_parser"]

OK, SOME_FAILED, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130

#: Command, and what it does. Its module is imported when it is called, so that help never waits for torch.
VERBS = {
    "fold": "predict the structures of the sequences in a FASTA file",
    "view": "show the structures of a run, on a page for the browser",
    "plan": "say what a fold will need, in memory and time, before it runs",
    "quantize": "store a model in a smaller form, or unpack it again",
    "embed": "write embeddings of residues or proteins, from a language model such as ESM-2",
    "score": "score sequences or mutations with a language model",
    "fill": "say which residues a language model expects at masked positions",
    "generate": "sample new sequences from a language model",
    "verify": "check on this machine that results equal stock transformers', and what a precision costs",
    "bench": "measure memory, seconds and accuracy, compared with stock transformers",
    "info": "show versions, devices, memory and optional packages",
    "completion": "print a script with which the Tab key completes commands and options in a shell",
}
_SEE_HELP = " --help lists the options."
_EXAMPLE = f"""\
to start:
  {PROGRAM} fold proteins.fasta -o out/ --model demo    a small model that comes with the package, offline
  {PROGRAM} view out/ --open                            the structures, in the browser"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; those of the process if left out.

    Returns
    -------
    int
        Exit code: 0 all done, 1 some records failed, 2 the input or an option is wrong, 128 + n ended by signal n.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a header may hold letters that the terminal cannot show
            stream.reconfigure(errors="backslashreplace")
    try:
        if given[:1] == ["help"]:
            given = [*given[1:2], "--help"]
        if not given or given[0].startswith("-"):
            return _main_options(given)
        code = _run_verb(given[0], given[1:])
        sys.stdout.flush()
        return code
    except LowmemFoldError as error:
        tell(f"error: {error}")
        return WRONG_INPUT
    except BrokenPipeError:  # of what was piped into, as by `| head`: no more is wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except KeyboardInterrupt:
        print(f"\n{PROGRAM}: interrupted", file=sys.stderr)
        return INTERRUPTED


class _Parser(argparse.ArgumentParser):
    """A parser whose errors, which repeat what was given, are printable, and name the option that was meant."""

    def __init__(self, program: str, **keywords: Any) -> None:
        super().__init__(program, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **keywords)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        for word in args or ():
            if word == "--":
                break
            option = word.partition("=")[0]
            if option.startswith("--") and option not in self._option_string_actions:
                known = [each[2:] for each in self._option_string_actions if each.startswith("--")]
                meant = nearest(option[2:], known)  # said before its value is taken for a file
                self.error(f"unknown option {option}.{f' Did you mean --{meant}?' if meant else _SEE_HELP}")
        return super().parse_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        if wrong := re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)$", message):
            message += "." + did_you_mean(wrong[1], re.findall(r"[\w-]+", wrong[2]))
        message = re.sub(r"invalid int value: (.*)", r"\1 is not a whole number", message)
        message = re.sub(r"invalid float value: (.*)", r"\1 is not a number", message)
        if message.endswith("required: -o/--output"):
            message += ". Write -o before the name of what is to be written."
        super().error(printable(message))


def _main_options(given: list[str]) -> int:
    parser = _main_parser()
    if given:
        parser.parse_args(given)
        parser.error(f"a command comes first: {', '.join(VERBS)}")
    parser.print_help(sys.stderr)
    return WRONG_INPUT


def _main_parser() -> _Parser:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:<{width}}  {does}" for verb, does in VERBS.items())
    parser = _Parser(
        PROGRAM,
        usage=f"{PROGRAM} COMMAND [options]",
        description=(
            "Fold proteins with ESMFold on the hardware you have: the same structures from a fraction of the memory."
        ),
        epilog=f"commands:\n{verbs}\n\n{_EXAMPLE}\n\n{PROGRAM} help COMMAND lists the options of a command.",
    )
    parser.add_argument("-V", "--version", action="version", version=f"{PROGRAM} {package_version()}")
    return parser


def whole_parser() -> argparse.ArgumentParser:
    """Return one parser that has every command with its options: what completion is made from."""
    parser = _main_parser()
    commands = parser.add_subparsers(dest="command", parser_class=argparse.ArgumentParser)
    for verb, does in VERBS.items():
        import_module(f".{verb}", __package__).add_arguments(commands.add_parser(verb, help=does))
    commands.add_parser("help", help="list the options of a command").add_argument("of", nargs="?", choices=[*VERBS])
    return parser


def _run_verb(verb: str, given: list[str]) -> int:
    if verb not in VERBS:
        raise LowmemFoldError(
            f"unknown command {verb!r}; choose from: {', '.join(VERBS)}.{did_you_mean(verb, [*VERBS, 'help'])}"
        )
    module = import_module(f".{verb}", __package__)
    parser = _Parser(f"{PROGRAM} {verb}", description=module.__doc__)
    module.add_arguments(parser)
    return int(module.run(parser.parse_args(given)))
