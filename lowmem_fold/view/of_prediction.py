"""What a prediction shows of itself: the one door of `predictions` into this room."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from .cell import prediction_html
from .confidence import draw_pae, draw_plddt
from .figures import drawn
from .static import draw_structure
from .viewer import view_prediction

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..predictions.prediction import Prediction

__all__ = ["pae_figure", "plddt_figure", "prediction_html", "structure_figure", "view_prediction"]


def structure_figure(prediction: Prediction) -> Figure:
    """Return a still picture of the structure, coloured by pLDDT."""
    return drawn(partial(draw_structure, prediction))


def plddt_figure(prediction: Prediction) -> Figure:
    """Return pLDDT over the residues."""
    return drawn(partial(draw_plddt, prediction))


def pae_figure(prediction: Prediction) -> Figure:
    """Return the PAE of each pair of residues."""
    return drawn(partial(draw_pae, prediction))
