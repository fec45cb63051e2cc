"""Pages that are partly written from records, between marks that say by which command."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["filled"]


def filled(page: str, sections: Mapping[str, str]) -> str:
    """The page with each section's text between its marks; every mark must be there, once.

    Marks: `<!-- NAME: written by python -m MODULE -->` and `<!-- NAME: end -->`.
    """
    for name, text in sections.items():
        begin, end = rf"<!-- {re.escape(name)}: written by python -m [\w.]+ -->", f"<!-- {name}: end -->"
        parts = re.split(f"({begin}).*?{re.escape(end)}", page, flags=re.DOTALL)
        if len(parts) != 3:
            raise ValueError(f"the section {name!r} is there {len(parts) // 2} times")
        before, mark, after = parts
        page = f"{before}{mark}\n{text}\n{end}{after}"
    return page
