"""A picture on disk: one for light pages and one for dark ones. What they look like: `lowmem_fold.system.style`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from lowmem_fold.system.style import DARK, LIGHT, rendered

__all__ = ["dark_path", "fingerprint", "write"]


def dark_path(picture: Path) -> Path:
    """Of `name.png`, `name-dark.png`."""
    return picture.with_name(f"{picture.stem}-dark{picture.suffix}")


def fingerprint(data: Any) -> str:
    """Of what is drawn. A picture holds it as its comment, so that a test can tell it from one of other records."""
    return hashlib.sha256(repr(data).encode()).hexdigest()


def write(picture: Path, draw: Callable[..., None], data: Any) -> None:
    """Write what `draw(data, figure, theme)` makes of either theme."""
    for path, theme in ((picture, LIGHT), (dark_path(picture), DARK)):
        path.write_bytes(rendered(partial(draw, data), theme, "png", fingerprint(data)))
