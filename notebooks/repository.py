"""Where the badges of the notebooks point, and where Colab installs from: one setting for both."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["REPOSITORY", "badge", "name_repository"]

#: `owner/name` on GitHub. Empty: the notebooks have no badge, and install from a wheel that the user uploads.
#: `python -m notebooks.execute` writes it into the notebooks.
REPOSITORY = ""

_COLAB = "https://colab.research.google.com"
_BADGE = re.compile(rf"\[!\[Open in Colab\]\({re.escape(_COLAB)}[^)]*\)\]\([^)]*\)\n\n")
_SOURCE = re.compile(r'^SOURCE = "[^"\n]*"  # @param', re.MULTILINE)


def badge(repository: str, name: str) -> str:
    """Return the Markdown of the badge that opens a notebook of this repository in Colab."""
    picture = f"{_COLAB}/assets/colab-badge.svg"
    return f"[![Open in Colab]({picture})]({_COLAB}/github/{repository}/blob/main/notebooks/{name}.ipynb)"


def name_repository(notebook: Any, name: str, repository: str = REPOSITORY) -> None:
    """Write the repository into a notebook: the badge under its title, and `SOURCE` of the cell that installs."""
    title, rest = _BADGE.sub("", notebook.cells[0].source).split("\n\n", 1)
    notebook.cells[0].source = "\n\n".join(filter(None, [title, repository and badge(repository, name), rest]))
    address = repository and f"https://github.com/{repository}"
    install = next(cell for cell in notebook.cells if cell.cell_type == "code")
    install.source, count = _SOURCE.subn(f'SOURCE = "{address}"  # @param', install.source)
    if count != 1:
        raise ValueError(f"{name}: the first cell with code has {count} fields SOURCE, it must have 1")
