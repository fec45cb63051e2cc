"""Figures that a notebook shows once and a program saves. Imported where a figure is drawn: it needs matplotlib."""

from __future__ import annotations

import io

from ..errors import InputError
from ..system.optional_packages import install_command
from ..system.style import LIGHT, Drawing, Theme, make_readable, themed

try:
    from matplotlib.figure import Figure
except ImportError as error:
    raise InputError(f"pictures need matplotlib, which is not installed: {install_command('matplotlib')}") from error

__all__ = ["ShownFigure", "drawn"]


_DPI = 100  # in a notebook: a file of pictures at twice that is of no use in a repository


class ShownFigure(Figure):
    """A figure of matplotlib that pyplot knows nothing of: it is shown where it is a cell's result, and only there."""

    def _repr_png_(self) -> bytes:
        with io.BytesIO() as file:
            self.savefig(file, format="png", dpi=_DPI)
            return file.getvalue()


def drawn(draw: Drawing, theme: Theme = LIGHT) -> ShownFigure:
    """The figure that `draw(figure, theme)` fills."""
    with themed(theme):
        figure = ShownFigure(layout="constrained")
        draw(figure, theme)
        make_readable(figure)
    return figure
