"""A picture on disk: one for light pages and one for dark ones. What they look like: `lowmem_fold.system.style`."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from lowmem_fold.system.style import DARK, LIGHT, rendered

__all__ = ["dark_path", "fingerprint", "save", "write"]

COLOURS = 256
"""Of a picture on disk: a third of the bytes of all colours, and a pixel is off by some of 255 at most."""


def dark_path(picture: Path) -> Path:
    """Of `name.png`, `name-dark.png`."""
    return picture.with_name(f"{picture.stem}-dark{picture.suffix}")


def fingerprint(data: Any) -> str:
    """Of what is drawn. A picture holds it as its comment, so that a test can tell it from one of other records."""
    return hashlib.sha256(repr(data).encode()).hexdigest()


def write(picture: Path, draw: Callable[..., None], data: Any) -> None:
    """Write what `draw(data, figure, theme)` makes of either theme."""
    for path, theme in ((picture, LIGHT), (dark_path(picture), DARK)):
        save(path, io.BytesIO(rendered(partial(draw, data), theme, "png", fingerprint(data))), fingerprint(data))


def save(path: Path, picture: io.BytesIO | Path, comment: str) -> None:
    """Write a PNG with few colours, and what it shows as its comment."""
    from PIL import Image, PngImagePlugin  # matplotlib brings it

    about = PngImagePlugin.PngInfo()
    about.add_text("Comment", comment)
    with Image.open(picture) as image:
        # The palette that covers all colours: one by their frequency turns the few pixels of a legend into others.
        small = image.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE, kmeans=4, dither=Image.Dither.NONE)
        small.save(path, pnginfo=about, optimize=True)
