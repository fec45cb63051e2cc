"""How pictures look: colours, fonts and sizes, on a light page and on a dark one.

The colours of a theme are told apart with any of the common colour blindnesses, and stand out from the page (3:1); a
test holds both. Colour is never alone: lines differ in their dashes or marks as well.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .optional_packages import install_command
from .readable import readable

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

__all__ = [
    "DARK",
    "LIGHT",
    "Drawing",
    "Theme",
    "make_readable",
    "plain_numbers",
    "rendered",
    "require_matplotlib",
    "themed",
    "thousands",
]


@dataclass(frozen=True)
class Theme:
    """Colours as #rrggbb, by what they are for.

    Attributes
    ----------
    page, text, muted, grid : str
        Ground, words, words of less weight, and lines that guide the eye.
    colors : mapping
        Of what is drawn, by name.
    """

    page: str
    text: str
    muted: str
    grid: str
    colors: Mapping[str, str]


LIGHT = Theme(
    page="#ffffff",
    text="#1f2328",
    muted="#59636e",
    grid="#d8dde3",
    colors={
        "blue": "#0053D6",
        "orange": "#D55E00",
        "green": "#00704F",
        "purple": "#B0179A",
        "sky": "#0E9AD8",
        "earth": "#5C3A10",
        "grey": "#858C96",
    },
)
DARK = Theme(
    page="#0d1117",
    text="#e6edf3",
    muted="#9da7b1",
    grid="#30363d",
    colors={
        "blue": "#2F7BFF",
        "orange": "#F0702A",
        "green": "#1FD68A",
        "purple": "#C565D6",
        "sky": "#A6DDF2",
        "earth": "#F2D24B",
        "grey": "#7A828C",
    },
)

#: Fills an empty figure; sets its size.
Drawing = Callable[["Figure", Theme], None]


def rendered(draw: Drawing, theme: Theme, form: str, comment: str = "") -> bytes:
    """The picture as a file of matplotlib's format `png` or `svg`, the same bytes each time; a PNG holds the comment.

    Raises
    ------
    InputError
        matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    with themed(theme), io.BytesIO() as file:
        figure = Figure(layout="constrained")
        draw(figure, theme)
        make_readable(figure)
        figure.savefig(file, format=form, metadata={"Date": None} if form == "svg" else {"Comment": comment})
        return file.getvalue()


@contextmanager
def themed(theme: Theme) -> Iterator[None]:
    """What is drawn within looks as the theme says, whatever the user has set; afterwards it is as it was."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_settings(theme))
        yield


def require_matplotlib() -> None:
    """InputError, which says what to install, if it is missing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"pictures need matplotlib, which is not installed: {install_command('matplotlib')}"
        ) from error


def _settings(theme: Theme) -> dict[str, Any]:
    text = dict.fromkeys(("text.color", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color"), theme.text)
    return {
        **text,
        "figure.dpi": 150,
        "figure.facecolor": theme.page,
        "axes.facecolor": theme.page,
        "savefig.facecolor": theme.page,
        "axes.edgecolor": theme.muted,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlelocation": "left",
        "axes.titlesize": 10,
        "figure.titlesize": 11,
        "grid.color": theme.grid,
        "grid.linewidth": 0.7,
        "font.size": 10,
        "text.parse_math": False,  # a `$` is that of a name
        "legend.fontsize": 9,
        "legend.frameon": False,
        "lines.markersize": 4,
        "svg.hashsalt": "lowmem_fold",
    }


def make_readable(figure: Figure) -> None:
    """Put replacement signs into the figure's texts where a name is not UTF-8, which no font could draw."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_text(readable(text.get_text()))


def plain_numbers(axis: Axis) -> None:
    """1024 and 0.25 where a logarithmic axis has powers of ten, and no marks between its ticks."""
    from matplotlib.ticker import FuncFormatter, NullLocator

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def thousands(axis: Axis) -> None:
    """1,000 and 10,000 at the ticks."""
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
