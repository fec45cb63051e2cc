"""Pictures of a page as browsers show it, for people: `python -m tests.browser.look PAGE FOLDER`.

Writes `<width>-<theme>.png` of the whole page, narrow and wide, light and dark.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from lowmem_fold.view.library import ADDRESS, shipped_library
from tests.browser.chromium import Chromium

__all__ = ["main"]

WIDTHS = {"narrow": 380, "wide": 1500}


def main() -> None:
    """Open the page, wait for its structure, and keep what is seen."""
    parser = argparse.ArgumentParser("python -m tests.browser.look", description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    answers = {ADDRESS: shipped_library()} if ADDRESS + '"' in arguments.page.read_text() else None
    with tempfile.TemporaryDirectory() as profile, Chromium(Path(profile)) as browser:
        for name, width in WIDTHS.items():
            for theme in ("light", "dark"):
                tab = browser.tab(arguments.page, answers=answers, width=width, height=900, dark=theme == "dark")
                tab.wait("document.querySelector('.stage canvas, .notice.failed') !== null")
                tab.value("new Promise((done) => setTimeout(done, 500))")
                path = arguments.folder / f"{name}-{theme}.png"
                path.write_bytes(tab.screenshot(full=True))
                print(path)
                tab.close()


if __name__ == "__main__":
    main()
