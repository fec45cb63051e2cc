"""The residues of a structure along an axis: where those of a file are missing, room is left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..predictions.prediction import Prediction
from .known import FileStructure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_along", "name_residues", "places"]

_WIDEST_GAP = 20  # residues: more that are missing, or numbers that jump for another reason, take no more room
_STEPS = (1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000, 2000)
_TICKS = 10


def places(structure: Prediction) -> np.ndarray:
    """Where each residue lies, counted from 1: ndarray, shape=(L,), dtype=int64. As in residues.js of the page."""
    missing = np.diff(structure.residue_number) - 1
    missing[np.diff(structure.chain_index) != 0] = 0
    return 1 + np.arange(structure.length) + np.concatenate([[0], np.cumsum(np.clip(missing, 0, _WIDEST_GAP))])


def draw_along(axes: Axes, structure: Prediction, rows: np.ndarray, values: np.ndarray, **style: Any) -> None:
    """A line over the places of these rows that breaks where there is no value; one between breaks is a dot."""
    along = places(structure)
    everywhere = np.full(along[-1] + 2, np.nan)  # one more at each end
    everywhere[along[rows]] = values
    (line,) = axes.plot(np.arange(1, along[-1] + 1), everywhere[1:-1], linewidth=1.3, **style)
    there = np.isfinite(everywhere)
    alone = 1 + np.flatnonzero(there[1:-1] & ~there[:-2] & ~there[2:])
    if len(alone):
        axes.plot(alone, everywhere[alone], linestyle="", marker="o", markersize=2.5, color=line.get_color())


def name_residues(axes: Axes, structure: Prediction) -> None:
    """Ends and name of the axis; of a file, ticks at the round numbers of its residues, in each chain anew."""
    along = places(structure)
    axes.set(xlabel=f"residue of {structure.id}", xlim=(0.5, along[-1] + 0.5))
    if isinstance(structure, FileStructure):
        step = next((step for step in _STEPS if step * _TICKS >= along[-1]), _STEPS[-1])
        rows = np.flatnonzero(structure.residue_number % step == 0)
        axes.set_xticks(along[rows], [structure.labels[row] for row in rows])
