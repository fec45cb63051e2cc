"""Drawings of a comparison: both structures in one place, and how far each residue is from the other."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..system.html import table_html
from ..system.style import Theme
from .axis import draw_along, name_residues, places
from .bands import DISTANCE_BANDS, WITHOUT_VALUE, distance_index
from .cell import structure_frame
from .confidence import name_chains
from .figures import drawn
from .known import has_plddt
from .ribbon import Mesh
from .static import draw_legend, draw_ribbon, orientation, rgb, ribbon_of
from .structure_data import pair_data
from .viewer import add_colored, add_legend, new_viewer

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .comparison import Comparison

__all__ = [
    "comparison_figure",
    "comparison_html",
    "distance_legend",
    "draw_comparison",
    "draw_overlay",
    "draw_ribbons",
    "overlay_figure",
    "view_comparison",
]

_THIN = 0.5


def comparison_html(comparison: Comparison) -> str:
    """Return the scores and both structures, superimposed."""
    both = comparison.moved, comparison.reference
    plddt = [each.plddt if has_plddt(each) else None for each in both]
    data = pair_data(comparison, (both[0].id, both[1].id), (plddt[0], plddt[1]))
    return table_html(comparison.title, comparison.headline()) + structure_frame(comparison.title, data)


def comparison_figure(comparison: Comparison) -> Figure:
    """Return distance and lDDT of each residue, and pLDDT where both have it."""
    return drawn(partial(draw_comparison, comparison))


def overlay_figure(comparison: Comparison) -> Figure:
    """Return a still picture of both."""
    return drawn(partial(draw_overlay, comparison))


def view_comparison(comparison: Comparison) -> Any:
    """See `Comparison.view`."""
    viewer = new_viewer()
    whole = np.zeros(comparison.reference.length, dtype=np.int64)
    add_colored(viewer, 0, comparison.reference, whole, [WITHOUT_VALUE])
    add_colored(
        viewer, 1, comparison.moved, _kinds(comparison), [*(band.color for band in DISTANCE_BANDS), WITHOUT_VALUE]
    )
    add_legend(viewer, distance_legend(comparison))
    viewer.zoomTo()
    return viewer


def distance_legend(comparison: Comparison) -> dict[str, str]:
    """What each colour of a comparison stands for."""
    return {band.label: band.color for band in DISTANCE_BANDS} | {comparison.reference.id: WITHOUT_VALUE}


def _kinds(comparison: Comparison) -> np.ndarray:
    """Place in DISTANCE_BANDS of each residue of the moved structure, one beyond of those without a partner."""
    kinds = np.full(comparison.moved.length, len(DISTANCE_BANDS))
    kinds[comparison.moved_rows] = distance_index(comparison.distance)
    return kinds


def draw_overlay(comparison: Comparison, figure: Figure, theme: Theme) -> None:
    """Both ribbons, with a legend."""
    figure.set_size_inches(6.4, 5.2)
    draw_ribbons(comparison, figure.subplots(), theme)
    draw_legend(figure, theme, "distance of CA atoms", distance_legend(comparison))
    figure.suptitle(f"{comparison.title}\n{comparison.summary}", x=0.02, ha="left")


def draw_ribbons(comparison: Comparison, axes: Axes, theme: Theme) -> None:
    """Both ribbons, turned so that the reference lies as in its own picture."""
    turned = orientation(comparison.reference.positions, comparison.reference.atom_mask)
    # The reference is a little thinner, so that what is superimposed on it hides it.
    known, moved = ribbon_of(comparison.reference, turned, _THIN), ribbon_of(comparison.moved, turned)
    behind = comparison.reference.length
    moved = moved._replace(residue=moved.residue + behind)
    mesh = Mesh(*(np.concatenate(parts) for parts in zip(known, moved, strict=True)))
    palette = np.array([rgb(color) for color in (*(band.color for band in DISTANCE_BANDS), WITHOUT_VALUE)])
    grey = np.repeat(palette[-1:], behind, axis=0)
    draw_ribbon(axes, theme, mesh, np.concatenate([grey, palette[_kinds(comparison)]]))


def draw_comparison(comparison: Comparison, figure: Figure, theme: Theme) -> None:
    """Distance, lDDT and, if both are predictions, pLDDT over the residues of the reference."""
    both = comparison.moved, comparison.reference
    predicted = all(map(has_plddt, both))
    panels = figure.subplots(3 if predicted else 2, 1, sharex=True)
    figure.set_size_inches(7.6, 1.9 * len(panels) + 0.6)
    known = comparison.reference, comparison.reference_rows
    draw_along(panels[0], *known, comparison.distance, color=theme.colors["blue"])
    panels[0].set(ylabel="CA distance, Å", ylim=(0, None))
    draw_along(panels[1], *known, comparison.local_lddt, color=theme.colors["green"])
    panels[1].set(ylabel="lDDT-CA", ylim=(0, 1.02))
    if predicted:
        rows = comparison.moved_rows, comparison.reference_rows
        for each, row, color, dashes in zip(both, rows, ("orange", "grey"), ("-", "--"), strict=True):
            style: dict[str, Any] = {"color": theme.colors[color], "linestyle": dashes, "label": each.id}
            draw_along(panels[2], *known, each.plddt[row], **style)
        panels[2].set(ylabel="pLDDT", ylim=(0, 100))
        panels[2].legend()
    _label(panels, comparison, theme)
    figure.suptitle(f"{comparison.title}: {comparison.summary}", x=0.01, ha="left")


def _label(panels: np.ndarray, comparison: Comparison, theme: Theme) -> None:
    reference = comparison.reference
    along = places(reference)
    starts = np.flatnonzero(np.diff(reference.chain_index)) + 1
    for axes in panels:
        for start in starts:
            axes.axvline(along[start] - 0.5, color=theme.text, linewidth=0.8, linestyle="--")
    name_chains(panels[0], along, reference.chain_index, reference.chain_ids)
    name_residues(panels[-1], reference)
