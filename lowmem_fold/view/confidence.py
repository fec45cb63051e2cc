"""Drawings of a prediction's confidence: the pLDDT of each residue, and the PAE of each pair."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..system.style import Theme
from .bands import BANDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..predictions.prediction import Prediction

__all__ = ["draw_pae", "draw_plddt", "name_chains"]

_TOP = 100.0


def draw_plddt(prediction: Prediction, figure: Figure, theme: Theme) -> None:
    """pLDDT over residues, on the bands; residues are counted through all chains, whose borders are marked."""
    figure.set_size_inches(7.6, 2.9)
    axes = figure.subplots()
    draw_bands(axes, theme)
    _on_residues(axes, prediction.plddt, color=theme.text, linewidth=1.3)
    axes.set(xlabel="residue", ylabel="pLDDT", xlim=(0.5, prediction.length + 0.5))
    for border in _chain_borders(prediction.chains):
        axes.axvline(border, color=theme.text, linewidth=0.8, linestyle="--")
    _name_chains(axes, prediction)
    axes.set_title(f"{prediction.id}: mean pLDDT {prediction.mean_plddt:.1f}", pad=18 if _several(prediction) else 6)


def draw_bands(axes: Axes, theme: Theme) -> None:
    """The bands of pLDDT behind a curve, their names in the margin."""
    ceiling = _TOP
    for band in BANDS:
        axes.axhspan(band.floor, ceiling, color=band.color, alpha=0.3, linewidth=0, zorder=0)
        place: dict[str, Any] = {"xytext": (6, 0), "textcoords": "offset points", "va": "center", "fontsize": 8}
        middle = (1.0, (band.floor + ceiling) / 2)
        axes.annotate(band.name, middle, xycoords=("axes fraction", "data"), color=theme.muted, **place)
        ceiling = band.floor
    axes.set(ylim=(0, _TOP), yticks=[0, *sorted(band.floor for band in BANDS[:-1]), 100])
    axes.grid(False)


def draw_pae(prediction: Prediction, figure: Figure, theme: Theme) -> None:
    """PAE of each pair of residues, dark where it is small, as the AlphaFold database draws it; chains are separated.

    Raises
    ------
    InputError
        The prediction has no PAE.
    """
    if prediction.pae is None:
        raise InputError(f"{prediction.id}: there is no PAE to draw; fold with pae=True.")
    figure.set_size_inches(5.2, 4.6)
    axes = figure.subplots()
    ends = (0.5, prediction.length + 0.5)
    image = axes.imshow(
        prediction.pae, cmap="Greens_r", vmin=0, vmax=prediction.max_pae, extent=(*ends, *ends[::-1]), aspect="equal"
    )
    axes.grid(False)
    for border in _chain_borders(prediction.chains):
        for color, width in (("white", 2.4), ("black", 1.0)):  # seen on the dark and on the pale
            axes.axvline(border, color=color, linewidth=width)
            axes.axhline(border, color=color, linewidth=width)
    _name_chains(axes, prediction)
    axes.set(xlabel="scored residue", ylabel="aligned residue")
    axes.set_title(_scores(prediction), pad=18 if _several(prediction) else 6)
    figure.colorbar(image, ax=axes, label="predicted aligned error, Å", shrink=0.85)


def _chain_borders(chains: tuple[str, ...]) -> list[float]:
    """Between which residues a chain ends, counted through all chains from 1: 3.5 after one of three."""
    return [float(end) + 0.5 for end in np.cumsum([len(chain) for chain in chains])[:-1]]


def name_chains(axes: Axes, places: np.ndarray, chain_index: np.ndarray, names: tuple[str, ...]) -> None:
    """The chains' names above the axes, if there are several; residues of chains (L,) lie at places (L,)."""
    if len(names) < 2:
        return
    for chain, name in enumerate(names):
        own = places[chain_index == chain]
        middle = ((own[0] + own[-1]) / 2, 1.0)
        place: dict[str, Any] = {"xytext": (0, 3), "textcoords": "offset points", "ha": "center", "fontsize": 9}
        axes.annotate(name, middle, xycoords=("data", "axes fraction"), **place)


def _name_chains(axes: Axes, prediction: Prediction) -> None:
    name_chains(axes, np.arange(1, prediction.length + 1), prediction.chain_index, prediction.chain_ids)


def _on_residues(axes: Axes, values: np.ndarray, **style: Any) -> None:
    """A line over residues 1 to L; one residue alone is a dot."""
    axes.plot(np.arange(1, len(values) + 1), values, marker="o" if len(values) == 1 else None, **style)


def _several(prediction: Prediction) -> bool:
    return len(prediction.chains) > 1


def _scores(prediction: Prediction) -> str:
    between = "" if prediction.iptm is None else f", ipTM {prediction.iptm:.2f}"
    return f"{prediction.id}: pTM {prediction.ptm:.2f}{between}"
