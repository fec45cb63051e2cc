"""Still pictures of structures by matplotlib alone: a shaded ribbon, coloured by pLDDT, drawn from back to front."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..sequences.residues import ATOM_ORDER
from ..system.style import Theme
from .bands import LEGEND, band_colors
from .ribbon import Mesh, ribbon

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase

    from ..predictions.prediction import Prediction

__all__ = [
    "draw_bands",
    "draw_legend",
    "draw_ribbon",
    "draw_structure",
    "orientation",
    "rgb",
    "ribbon_of",
]

_CA = ATOM_ORDER["CA"]
_LIGHT = np.array([-0.35, 0.5, 0.8]) / np.linalg.norm([-0.35, 0.5, 0.8])
_HALFWAY = (_LIGHT + np.array([0, 0, 1])) / np.linalg.norm(_LIGHT + np.array([0, 0, 1]))  # between light and eye
_AMBIENT, _SHINE, _HARDNESS = 0.55, 0.35, 24
_HAZE = 0.45  # how much of the page's colour the furthest part takes
_OUTLINE, _BEHIND = 0.3, 0.9  # share of the colour that an outline keeps; Angstrom that it lies behind
_MARGIN = 2.5  # Angstrom
_MOST_QUADS = 120_000  # more take many seconds, and are smaller than a pixel


def draw_structure(prediction: Prediction, figure: Figure, theme: Theme) -> None:
    """The ribbon with a legend of the bands, and what the prediction says of itself.

    Raises
    ------
    InputError
        No residue has a place.
    """
    figure.set_size_inches(6.4, 5.2)
    draw_bands(prediction, figure.subplots(), theme)
    draw_legend(figure, theme, "pLDDT", LEGEND)
    several = f", {len(prediction.chains)} chains" if len(prediction.chains) > 1 else ""
    ptm = f", pTM {prediction.ptm:.2f}" if np.isfinite(prediction.ptm) else ""
    said = f"{prediction.length} residues{several}, mean pLDDT {prediction.mean_plddt:.1f}{ptm}"
    figure.suptitle(f"{prediction.id}\n{said}", x=0.02, ha="left")


def draw_bands(prediction: Prediction, axes: Axes, theme: Theme) -> None:
    """The ribbon alone, each residue in the colour of its band."""
    turned = orientation(prediction.positions, prediction.atom_mask)
    colors = np.array([rgb(color) for color in band_colors(prediction.plddt)])
    draw_ribbon(axes, theme, ribbon_of(prediction, turned), colors)


def ribbon_of(prediction: Prediction, turned: np.ndarray, size: float = 1.0) -> Mesh:
    """The mesh of a prediction after a rotation (3, 3); InputError if nothing can be drawn of it."""
    samples = int(np.clip(_MOST_QUADS / (12 * prediction.length), 2, 8))
    places = prediction.positions @ turned.T
    mesh = ribbon(places, prediction.atom_mask, prediction.chain_index, samples=samples, size=size)
    if not len(mesh.residue):
        raise InputError(f"{prediction.id}: no two residues that follow each other have N, CA and C; nothing to draw.")
    return mesh


def orientation(positions: np.ndarray, atom_mask: np.ndarray) -> np.ndarray:
    """The rotation, shape (3, 3), that lays a structure's longest extent along x and looks along its shortest.

    Its hand is kept. Rows are the principal axes of the CA atoms; each points to the side where its third moment is
    positive, so that a structure is drawn the same however it came to lie.
    """
    ca = np.asarray(positions, dtype=np.float64)[atom_mask[:, _CA], _CA]
    ca = ca[np.isfinite(ca).all(axis=1)]
    if len(ca) < 3:
        return np.eye(3)
    ca = ca - ca.mean(axis=0)
    axes = np.linalg.svd(ca, full_matrices=True)[2]
    axes[((ca @ axes.T) ** 3).sum(axis=0) < 0] *= -1
    return np.stack([axes[0], axes[1], np.cross(axes[0], axes[1])])


def draw_ribbon(axes: Axes, theme: Theme, mesh: Mesh, colors: np.ndarray) -> None:
    """The mesh as seen from +z, the far parts first.

    Parameters
    ----------
    mesh : Mesh
        x to the right, y upwards.
    colors : ndarray, shape=(L, 3)
        Red, green and blue, 0 to 1, of each residue.
    """
    from matplotlib.collections import PolyCollection

    seen = mesh.normals[:, 2] > 0
    corners, depth = mesh.corners[seen], mesh.corners[seen].mean(axis=1)[:, 2]
    shaded = _shaded(colors[mesh.residue[seen]], mesh.normals[seen], depth, np.array(rgb(theme.page)))
    # Every quadrilateral again, dark, larger and a little further back: what is seen of these are the outlines.
    order = np.argsort(np.concatenate([depth - _BEHIND, depth]), kind="stable")
    faces = np.concatenate([_OUTLINE * shaded, shaded])[order]
    widths = np.repeat([1.6, 0.4], len(depth))[order]
    places: Any = np.concatenate([corners, corners])[order][..., :2]
    axes.add_collection(PolyCollection(places, facecolors=faces, edgecolors=faces, linewidths=widths), autolim=False)
    low, high = corners[..., :2].min(axis=(0, 1)) - _MARGIN, corners[..., :2].max(axis=(0, 1)) + _MARGIN
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
    axes.axis("off")


def _shaded(colors: np.ndarray, normals: np.ndarray, depth: np.ndarray, page: np.ndarray) -> np.ndarray:
    """Lambert's law with ambient light and a highlight (Phong), then haze with the distance; shape (Q, 3)."""
    facing = np.clip(normals @ _LIGHT, 0, 1)
    shine = _SHINE * np.clip(normals @ _HALFWAY, 0, 1) ** _HARDNESS
    lit = colors * (_AMBIENT + (1 - _AMBIENT) * facing)[:, None]
    lit = lit + (1 - lit) * shine[:, None]
    far = _HAZE * (depth.max() - depth) / max(float(np.ptp(depth)), 1e-9)
    return lit * (1 - far[:, None]) + page * far[:, None]


def draw_legend(
    figure: FigureBase, theme: Theme, title: str, colors: Mapping[str, str], columns: int | None = None
) -> None:
    """Below the picture: what each colour #RRGGBB stands for; in one row where no number of columns is given."""
    from matplotlib.patches import Patch

    patches = [Patch(facecolor=color, label=label) for label, color in colors.items()]
    style: dict[str, Any] = {"handlelength": 1, "handleheight": 1, "columnspacing": 1.2, "alignment": "left"}
    legend = figure.legend(
        handles=patches, loc="outside lower left", title=title, ncols=columns or len(colors), **style
    )
    legend.get_title().set_color(theme.text)


def rgb(color: str) -> list[float]:
    """Red, green and blue, 0 to 1, of #RRGGBB."""
    return [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
