"""Print a script that makes the Tab key complete commands, options and file names in a shell.

bash, once:  lowmem-fold completion bash >> ~/.bash_completion
zsh, once:   lowmem-fold completion zsh > ~/.zsh/_lowmem-fold, where ~/.zsh is a folder of $fpath
Open a new terminal afterwards.
"""

from __future__ import annotations

import argparse

from ..errors import InputError
from ..system.optional_packages import install_command
from ..system.terminal import PROGRAM, say
from .main import OK, whole_parser

__all__ = ["add_arguments", "run"]

_SHELLS = ("bash", "zsh", "tcsh")
#: Options whose value is a file or a folder, by what help calls it.
_FILES = ("FASTA", "FILE", "FOLDER", "CSV", "PAGE", "FILE.jsonl", "FILE.html")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("shell", choices=_SHELLS, help="the shell that you use; echo $SHELL says which")


def run(arguments: argparse.Namespace) -> int:
    """Print the script; returns the exit code."""
    try:
        import shtab
    except ImportError as error:
        raise InputError(f"completion needs shtab, which is not installed: {install_command('shtab')}") from error
    parser = whole_parser()
    _mark_files(parser, shtab.FILE)
    say(shtab.complete(parser, shell=arguments.shell, root_prefix=PROGRAM.replace("-", "_")))
    return OK


def _mark_files(parser: argparse.ArgumentParser, mark: object) -> None:
    """Have names of files completed where an option takes one."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                _mark_files(each, mark)
        elif action.metavar in _FILES:
            action.complete = mark  # type: ignore[attr-defined]
