"""``lowmem-fold``: finds the verb and says in one line what went wrong."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import NoReturn

from ..errors import LowmemFoldError
from ..system.terminal import PROGRAM, printable, tell
from ..system.versions import package_version

__all__ = ["main"]

OK, SOME_FAILED, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130

#: Verb, and what it does. The module of a verb is imported when it is called, so that help never waits for torch.
VERBS = {
    "fold": "predict the structures of the sequences of a FASTA file",
    "plan": "tell what a fold will take, before it runs",
    "fill": "tell what a language model would put where residues are masked",
    "score": "score sequences or mutations with a language model",
    "generate": "sample sequences from a language model",
    "embed": "write a language model's vectors of residues or proteins",
    "quantize": "write a model in a smaller form, or unpack it again",
    "bench": "measure memory, seconds and accuracy, beside stock's",
    "verify": "try on this machine that results are stock's, and what a precision costs",
    "view": "write a page that shows the structures of a run",
    "info": "show versions, devices, memory and optional packages",
}


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
    """A parser whose errors, which repeat what was given, are printable."""

    def error(self, message: str) -> NoReturn:
        super().error(printable(message))


def _main_options(given: list[str]) -> int:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:<{width}}  {does}" for verb, does in VERBS.items())
    parser = _Parser(
        PROGRAM,
        usage=f"{PROGRAM} VERB [options]",
        description="Protein structure prediction with ESMFold in a fifth of the activation memory.",
        epilog=f"verbs:\n{verbs}\n\n{PROGRAM} VERB --help tells the options of a verb.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {package_version()}")
    if given:
        parser.parse_args(given)
        parser.error(f"a verb comes first: {', '.join(VERBS)}")
    parser.print_help(sys.stderr)
    return WRONG_INPUT


def _run_verb(verb: str, given: list[str]) -> int:
    if verb not in VERBS:
        close = get_close_matches(verb, VERBS, 1)
        meant = f" Did you mean {close[0]}?" if close else ""
        raise LowmemFoldError(f"{verb!r} is no verb of {PROGRAM}; there are {', '.join(VERBS)}.{meant}")
    module = import_module(f".{verb}", __package__)
    parser = _Parser(
        f"{PROGRAM} {verb}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    return int(module.run(parser.parse_args(given)))
