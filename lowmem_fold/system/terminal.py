"""Show text of others (headers, names of files, messages) on a terminal without letting it steer the terminal."""

from __future__ import annotations

import re
import shutil
import sys
import unicodedata
from pathlib import Path
from typing import TextIO

__all__ = ["PROGRAM", "called_as", "printable", "say", "tell"]

PROGRAM = "lowmem-fold"
_KEPT = "\n\t"
#: Control characters (Cc: escape codes begin with them) and format characters (Cf: some turn the direction of text).
_ESCAPED = ("Cc", "Cf")
_PLAIN = re.compile(r"[\n\t\x20-\x7e]*")


def printable(text: str) -> str:
    """Write control and format characters as escapes such as ``\\x1b``; line ends and tabs stay."""
    return text if _PLAIN.fullmatch(text) else "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    if character in _KEPT or unicodedata.category(character) not in _ESCAPED:
        return character
    return character.encode("unicode_escape").decode("ascii")


def called_as() -> str:
    """Return how to call the command line here: its name, its path if a shell would not find it, or python -m."""
    if shutil.which(PROGRAM):
        return PROGRAM
    script = Path(sys.argv[0])
    return str(script) if script.stem == PROGRAM else "python -m lowmem_fold"


def say(text: str, *, end: str = "\n", stream: TextIO | None = None) -> None:
    """Print a line, by default on standard output, and show it at once."""
    print(printable(text), end=end, file=stream or sys.stdout, flush=True)


def tell(text: str) -> None:
    """Print a line about the run on standard error, after the program's name."""
    say(f"{PROGRAM}: {text}", stream=sys.stderr)
