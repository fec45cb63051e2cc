"""Write one HTML page that shows a run: all records in a table, and each structure, its pLDDT and its PAE.

With --compare, two sets of structures: each superimposed on its partner, and the distance of each residue.
--open opens the page in the browser, as a double click does. It needs no server and no network: 3Dmol.js, which draws
the structures, is in it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..system.terminal import say, tell
from .main import OK, SOME_FAILED

if TYPE_CHECKING:
    from ..view.page import Page

__all__ = ["add_arguments", "run"]

PAGE, COMPARISON = "view.html", "compare-B.html"
_EXIT_CODES = """\
exit codes:
  0  the page is written
  1  the page is written, but with --compare some pairs cannot be compared: it says why
  2  the input or an option is wrong: nothing is written
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.epilog = _EXIT_CODES
    parser.usage = "lowmem-fold view (FOLDER | --compare A B) [-o PAGE.html] [--open] [--cdn | --js FILE]"
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("folder", metavar="FOLDER", nargs="?", help="output folder of lowmem-fold fold")
    what.add_argument(
        "--compare",
        metavar=("A", "B"),
        nargs=2,
        help="superimpose the structures of A on those of B: runs, folders of PDB or mmCIF files, or single files; of "
        "several, those with the same name",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="PAGE",
        help=f"the page [{PAGE} in the folder; {COMPARISON} in A's with --compare]",
    )
    parser.add_argument("--open", action="store_true", help="open the page in the default browser")
    drawn_by = parser.add_mutually_exclusive_group()
    drawn_by.add_argument(
        "--cdn", action="store_true", help="let the browser load 3Dmol.js from the network: a page 0.2 MB smaller"
    )
    drawn_by.add_argument("--js", metavar="FILE", help="put this 3Dmol-min.js into the page")


def run(arguments: argparse.Namespace) -> int:
    """Write the page; returns the exit code."""
    from ..view.library import read_library
    from ..view.page import open_page, page_html, write_page

    library = None if arguments.js is None else read_library(arguments.js)
    page, place, complaints, code = _compared(*arguments.compare) if arguments.compare else _shown(arguments.folder)
    place = Path(arguments.output or place)
    replaced = place.exists()
    path = write_page(place, page_html(page, library, cdn=arguments.cdn))
    for complaint in complaints:
        tell(f"warning: {complaint}")
    say(page.subtitle)
    if replaced:
        say("The page that was there is replaced.")
    say(f"{'Page' if arguments.open else 'Open this page in a browser, or add --open'}: {path}")
    if arguments.open:
        open_page(path)
    return code


def _shown(folder: str) -> tuple[Page, Path, list[str], int]:
    """Return the page of a run, where it goes, what was found wrong, and the exit code."""
    from ..view.run import read_run
    from ..view.run_page import run_page

    found = read_run(folder)
    page = run_page(found)
    complaints = [f"{record.id}: {text}" for record in found.records for text in record.complaints]
    complaints += [f"{found.folder}: {text}" for text in found.complaints]
    return page, found.folder / PAGE, complaints, OK


def _compared(a: str, b: str) -> tuple[Page, Path, list[str], int]:
    """Return the same of a comparison."""
    from ..view.compared import compared, read_side
    from ..view.comparison_page import comparison_page

    ours, theirs = read_side(a), read_side(b)
    pairs = list(compared(ours, theirs))
    complaints = [f"{pair.names[0]}: {pair.reason}" for pair in pairs if pair.reason]
    if len(complaints) == len(pairs):
        which = "this pair cannot" if len(pairs) == 1 else f"none of the {len(pairs)} pairs can"
        raise InputError(f"{which} be compared; {complaints[0]}")
    folder = ours.path if ours.path.is_dir() else ours.path.parent
    page = comparison_page(ours, theirs, pairs)
    code = SOME_FAILED if complaints else OK
    complaints += [f"{side.path}: {text}" for side in (ours, theirs) if side.run for text in side.run.complaints]
    return page, folder / COMPARISON.replace("B", theirs.path.resolve().name), complaints, code
