"""Small pieces of HTML, as notebooks show them."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from .readable import readable

__all__ = ["html_text", "table_html"]


def table_html(title: str, values: Mapping[str, str], notes: Sequence[str] = ()) -> str:
    """Return a row of values under their names."""
    names = "".join(f"<th>{html_text(name)}</th>" for name in values)
    cells = "".join(f"<td>{html_text(value)}</td>" for value in values.values())
    rows = f"<thead><tr>{names}</tr></thead><tbody><tr>{cells}</tr></tbody>"
    said = "".join(f"<p>Cannot be true: {html_text(note)}</p>" for note in notes)
    return f"<p><strong>{html_text(title)}</strong></p><table>{rows}</table>{said}"


def html_text(text: str) -> str:
    """Return a text as it stands in HTML, its control characters as escapes."""
    return html.escape(readable(text))
