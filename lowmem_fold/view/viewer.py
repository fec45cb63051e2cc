"""Structures in a notebook that can be turned: py3Dmol's viewer, coloured by the bands of pLDDT."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..system.optional_packages import install_command
from .bands import BANDS, LEGEND, band_index
from .library import compressed_library, shipped_library

if TYPE_CHECKING:
    from ..predictions.prediction import Prediction

__all__ = ["add_colored", "add_legend", "new_viewer", "residue_ranges", "view_prediction"]

_LEGEND_STEP = 24  # pixels

#: Sets the promise that py3Dmol's script waits for, which then loads nothing. In each output, since Colab gives each
#: one a frame of its own. 3Dmol.js is kept from the module loaders of notebooks, which would take it in.
_LIBRARY = """<script>
if (typeof $3Dmolpromise === 'undefined') {
  $3Dmolpromise = (async () => {
    const bytes = Uint8Array.from(atob('%s'), (letter) => letter.charCodeAt(0));
    const text = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate'))).text();
    const script = document.createElement('script');
    script.textContent = `(function (exports, module, define) {${text}\n}).call(window, {}, {exports: {}});`;
    document.head.append(script);
  })();
}
</script>
"""


def view_prediction(prediction: Prediction) -> Any:
    """Return a `py3Dmol.view` of a cartoon coloured by pLDDT, with a legend.

    Raises
    ------
    InputError
        py3Dmol is not installed.
    LowmemFoldError
        Coordinates or pLDDT are not finite.
    """
    viewer = new_viewer()
    add_colored(viewer, 0, prediction, band_index(prediction.plddt), [band.color for band in BANDS])
    add_legend(viewer, LEGEND)
    viewer.zoomTo()
    return viewer


def new_viewer() -> Any:
    """An empty `py3Dmol.view`; InputError says how to get py3Dmol where it is missing."""
    try:
        import py3Dmol
    except ImportError as error:
        raise InputError(f"views need py3Dmol, which is not installed: {install_command('py3Dmol')}") from error

    class Viewer(py3Dmol.view):
        """Shown as the result of a cell; py3Dmol's own is shown beside its result, and only by IPython's display.

        Every ``<`` of its data is escaped in its script, so that no name in a structure file can end the script.
        """

        startjs: str
        updatejs: str

        def __init__(self, **size: int) -> None:
            super().__init__(**size)
            self._frame = self.startjs  # py3Dmol's own elements; what is told follows

        def _make_html(self) -> str:
            told = self.startjs.removeprefix(self._frame)
            self.startjs = self._frame + _without_markup(told)
            return _LIBRARY % compressed_library(shipped_library()) + str(super()._make_html())

        def update(self) -> None:
            self.updatejs = _without_markup(self.updatejs)
            super().update()

        def __repr__(self) -> str:
            return "<structure viewer of py3Dmol>"

        def _repr_html_(self) -> str:
            return str(self.write_html())

    return Viewer(width=640, height=480)


def _without_markup(calls: str) -> str:
    """Calls with arguments in JSON, in which a ``<`` can only stand in a text."""
    return calls.replace("<", "\\u003c")


def add_colored(viewer: Any, model: int, prediction: Prediction, kinds: np.ndarray, colors: list[str]) -> None:
    """Add the structure as the viewer's model of this number, each residue in the colour of its kind, shape (L,)."""
    try:
        viewer.addModel(prediction.to_pdb(), "pdb")
    except InputError:  # more than its columns hold
        viewer.addModel(prediction.to_cif(), "cif")
    for kind, color in enumerate(colors):
        for chain, name in enumerate(prediction.chain_ids):
            numbers = prediction.residue_number[(prediction.chain_index == chain) & (kinds == kind)]
            if len(numbers):
                chosen = {"model": model, "chain": name, "resi": residue_ranges(numbers)}
                viewer.setStyle(chosen, {"cartoon": {"color": color, "arrows": True}})


def add_legend(viewer: Any, colors: Mapping[str, str]) -> None:
    """What each colour #RRGGBB stands for, in the upper left corner."""
    for place, (label, color) in enumerate(colors.items()):
        viewer.addLabel(
            label,
            {
                "position": {"x": 8, "y": 8 + _LEGEND_STEP * place, "z": 0},
                "useScreen": True,
                "inFront": True,
                "fontSize": 12,
                "fontColor": "white" if _is_dark(color) else "black",
                "backgroundColor": color,
                "backgroundOpacity": 1.0,
            },
        )


def residue_ranges(numbers: np.ndarray) -> list[str]:
    """Ascending residue numbers as the viewer selects them: 1, 2, 3, 7 are `1-3` and `7`."""
    return [f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in _runs(numbers)]


def _runs(numbers: np.ndarray) -> Iterator[np.ndarray]:
    yield from np.split(numbers, np.flatnonzero(np.diff(numbers) != 1) + 1)


def _is_dark(color: str) -> bool:
    """By the weights of ITU-R BT.601."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return 0.299 * red + 0.587 * green + 0.114 * blue < 128
