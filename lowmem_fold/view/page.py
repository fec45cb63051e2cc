"""One HTML file that shows records: a table, and for each its structures, curves and map of errors.

The file needs no server, no network and nothing beside it, unless 3Dmol.js is to come from its CDN. What the records
say reaches the page as data only, and its policy lets the browser run no script but the page's own and 3Dmol.js.
"""

from __future__ import annotations

import base64
import hashlib
import html
import os
import re
import sys
import webbrowser
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..system.files import write_text_atomic
from ..system.readable import readable
from ..system.terminal import tell
from .bands import BANDS, DISTANCE_BANDS, WITHOUT_VALUE
from .library import ADDRESS, INTEGRITY, library_block, policy_source, shipped_library
from .packed import plain_json

__all__ = ["Column", "Page", "document", "open_page", "page_html", "write_page"]

#: In the order in which one uses the other.
_SCRIPTS = (
    *("data", "dom", "packed", "cursor", "residues", "bands", "table", "curve", "map"),
    *("stage", "structure", "readout", "sequence", "detail", "main"),
)
_GENERATOR = '<meta name="generator" content="lowmem_fold">'


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes
    ----------
    key : str
        Entry of a record.
    label : str
    kind : str
        ``text``, ``integer``, ``part`` (of the entry ``<key>_whole``), ``plddt`` (0 to 100), ``fraction`` (0 to 1),
        ``angstrom``, ``seconds``, ``bytes`` or ``status``.
    help : str, optional
        Shown when one points at it.
    """

    key: str
    label: str
    kind: str
    help: str | None = None


@dataclass(frozen=True, eq=False)
class Page:
    """What a page shows.

    Attributes
    ----------
    title, subtitle : str
    settings : sequence of (str, str)
        Names and values, folded away under the title.
    columns : sequence of Column
        The first one is the records' name.
    records : sequence of dict
        Their entries by the keys of the columns, with ``header`` and ``drawn`` (whether there is something to draw).
    blocks : sequence of str
        Elements ``record-<n>`` and ``errors-<n>`` that hold the rest of record n.
    """

    title: str
    subtitle: str
    settings: Sequence[tuple[str, str]]
    columns: Sequence[Column]
    records: Sequence[Mapping[str, Any]]
    blocks: Sequence[str] = field(repr=False)


def page_html(page: Page, library: bytes | None = None, *, cdn: bool = False) -> str:
    """Return the text of the file.

    Parameters
    ----------
    page : Page
    library : bytes, optional
        3Dmol.js, to be held by the page; by default the copy in the package.
    cdn : bool
        Hold none: the browser gets it from its CDN, and the file is 0.2 MB smaller.
    """
    data = {name: getattr(page, name) for name in ("title", "subtitle", "settings", "records")}
    data["columns"] = [asdict(column) for column in page.columns]
    held = None if cdn else library or shipped_library()
    return document(page.title, data, page.blocks, _SCRIPTS, held)


def document(
    title: str, data: Mapping[str, Any], blocks: Sequence[str], scripts: Sequence[str], library: bytes | None
) -> str:
    """Return an HTML document that holds data, blocks, these scripts of ``web/``, and 3Dmol.js or its address."""
    script = _script(scripts)
    shown = {
        **data,
        "bands": [band._asdict() for band in BANDS],
        "distanceBands": [band._asdict() for band in DISTANCE_BANDS],
        "withoutValue": WITHOUT_VALUE,
        "library": {"address": None if library else ADDRESS, "integrity": INTEGRITY},
    }
    parts = {
        "policy": _policy(script, ADDRESS if library is None else policy_source(library)),
        "title": html.escape(readable(title)),
        "style": _asset("page.css"),
        "data": plain_json(shown),
        "blocks": "\n".join([*blocks, *([] if library is None else [library_block(library)])]),
        "script": script,
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], _asset("page.html"))  # no part is looked into


def write_page(path: str | Path, text: str) -> Path:
    """Write a page, whole or not at all, over an earlier page but over nothing else; returns ``path``.

    Raises
    ------
    InputError
        Another file is there, the name does not end in ``.html``, or it cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{path}: a page is written as .html: give another name with -o.")
    try:
        if path.exists() and not _is_page(path):
            raise InputError(
                f"{path}: not a page of lowmem-fold, so it is not replaced; give another name with -o, or remove it."
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_text_atomic(path, text)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}). Give another name with -o.") from None


def open_page(path: str | Path) -> bool:
    """Open a page in the default browser; where there is none, or no screen, say so in a line that names the page.

    Returns
    -------
    bool
        Whether a browser was asked to. What it does then is not known here.
    """
    path = Path(path)
    reason = "no screen to show a browser on" if _is_without_screen() else None
    if reason is None:
        try:
            reason = None if webbrowser.open(path.resolve().as_uri()) else "no browser could be started"
        except (webbrowser.Error, OSError) as error:
            reason = f"no browser could be started ({error})"
    if reason:
        tell(f"{reason}; open the page yourself, or copy it to where you have one: {path}")
    return reason is None


def _is_without_screen() -> bool:
    """Whether a browser could only open in the terminal: on Linux and the like without a display, as over SSH."""
    if os.name != "posix" or sys.platform == "darwin":
        return False
    return not any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))


def _is_page(path: Path) -> bool:
    with open(path, "rb") as file:
        return _GENERATOR.encode() in file.read(1000)


def _asset(name: str) -> str:
    return (files(__package__) / "web" / name).read_text(encoding="utf-8")


def _script(names: Sequence[str]) -> str:
    body = "\n".join(_asset(f"{name}.js") for name in names)
    return f'"use strict";\n(() => {{\n{body}}})();\n'


def _policy(script: str, library: str) -> str:
    """Only the page's own script, known by its hash, and 3Dmol.js run; nothing is sent anywhere."""
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return (
        f"default-src 'none'; script-src 'sha256-{digest}' {library}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
