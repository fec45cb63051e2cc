"""The ribbon of a protein as a mesh: helices and strands wide and flat, strands with an arrow head, the rest a tube.

The line through the CA atoms is a Catmull-Rom spline; the ribbon's plane is that of the peptides, as in M. Carson,
J. Mol. Graph. 5, 103 (1987).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..sequences.residues import ATOM_ORDER
from .secondary import secondary_structure

__all__ = ["Mesh", "ribbon"]

_N, _CA, _C, _O = (ATOM_ORDER[name] for name in ("N", "CA", "C", "O"))
_LONGEST_STEP = 4.5  # Angstrom between CA atoms: beyond it a residue is missing, and the ribbon ends

# Half width and half thickness, Angstrom
_SIZES = {"a": (1.35, 0.25), "b": (1.25, 0.25), "c": (0.32, 0.32)}
_HEAD_WIDTH = 2.1


class Mesh(NamedTuple):
    """Q quadrilaterals.

    ``corners`` has shape (Q, 4, 3), Angstrom, in a circle that runs against the clock as seen from outside; ``normals``
    (Q, 3) point outwards; ``residue`` (Q,) is the row of the residue that each belongs to.
    """

    corners: np.ndarray
    normals: np.ndarray
    residue: np.ndarray


def ribbon(
    positions: np.ndarray,
    atom_mask: np.ndarray,
    chain_index: np.ndarray,
    *,
    samples: int = 8,
    sides: int = 12,
    size: float = 1.0,
) -> Mesh:
    """The mesh of all residues that have N, CA and C at finite places; one without such neighbours is left out.

    Parameters
    ----------
    positions : ndarray, shape=(L, 37, 3)
        Angstrom.
    atom_mask : ndarray, shape=(L, 37), dtype=bool
    chain_index : ndarray, shape=(L,)
    samples : int
        Steps from one residue to the next.
    sides : int
        Quadrilaterals around.
    size : float
        Of width and thickness, as a part of the usual.
    """
    positions = np.asarray(positions, dtype=np.float64)
    kinds = secondary_structure(positions, atom_mask)
    meshes = []
    for rows in _stretches(positions, atom_mask, chain_index):
        where = np.linspace(0, len(rows) - 1, (len(rows) - 1) * samples + 1)
        line = _spline(_smoothed(positions[rows, _CA], kinds[rows]), where)
        across = _across(line, _spline(_planes(positions[rows], atom_mask[rows]), where), _flatness(kinds[rows], where))
        sizes = size * _sizes(kinds[rows], where)
        meshes.append(_tube(line, across, sizes, rows[np.rint(where).astype(np.int64)], sides))
    if not meshes:
        return Mesh(np.zeros((0, 4, 3)), np.zeros((0, 3)), np.zeros(0, dtype=np.int64))
    return Mesh(*(np.concatenate(parts) for parts in zip(*meshes, strict=True)))


def _stretches(positions: np.ndarray, atom_mask: np.ndarray, chain_index: np.ndarray) -> Iterator[np.ndarray]:
    """Rows of residues that follow each other without a gap, two or more."""
    backbone = [_N, _CA, _C]
    there = atom_mask[:, backbone].all(axis=1) & np.isfinite(positions[:, backbone]).all(axis=(1, 2))
    rows = np.flatnonzero(there)
    ca = positions[rows, _CA]
    parted = (np.diff(chain_index[rows]) != 0) | (np.linalg.norm(np.diff(ca, axis=0), axis=1) > _LONGEST_STEP)
    yield from (run for run in np.split(rows, np.flatnonzero(parted) + 1) if len(run) > 1)


def _tube(line: np.ndarray, across: np.ndarray, sizes: np.ndarray, residue: np.ndarray, sides: int) -> Mesh:
    """Ellipses of half axes `sizes` (S, 2) around the line (S, 3), joined, and closed at both ends."""
    up = np.cross(_unit(np.gradient(line, axis=0)), across)
    angle = 2 * np.pi * np.arange(sides) / sides
    out = np.cos(angle)[:, None] * (across * sizes[:, :1])[:, None]
    out = out + np.sin(angle)[:, None] * (up * sizes[:, 1:])[:, None]
    ends = np.repeat(line[[0, -1], None], sides, axis=1)
    rings = np.concatenate([ends[:1], line[:, None] + out, ends[1:]])  # (S + 2, sides, 3)
    following = np.roll(rings, -1, axis=1)
    corners = np.stack([rings[:-1], following[:-1], following[1:], rings[1:]], axis=2).reshape(-1, 4, 3)
    normals = _unit(np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1]))
    return Mesh(corners, normals, np.repeat(np.append(residue, residue[-1]), sides))


def _smoothed(ca: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Strands without their pleats: each CA moves halfway to the mean of its neighbours."""
    smooth = ca.copy()
    inner = np.flatnonzero(kinds[1:-1] == "b") + 1
    smooth[inner] = ca[inner] / 2 + (ca[inner - 1] + ca[inner + 1]) / 4
    return smooth


def _planes(positions: np.ndarray, atom_mask: np.ndarray) -> np.ndarray:
    """Along C=O of each residue, turned so that none points against the one before; shape (L, 3).

    Where there is no O it is the bisector of N-CA-C, which lies across the line as well.
    """
    ca = positions[:, _CA]
    bisector = _unit(positions[:, _C] - ca) + _unit(positions[:, _N] - ca)
    there = atom_mask[:, _O] & np.isfinite(positions[:, _O]).all(axis=1)
    direction = _unit(np.where(there[:, None], positions[:, _O] - positions[:, _C], bisector))
    agrees = (direction[1:] * direction[:-1]).sum(axis=1) >= 0
    return direction * np.cumprod(np.concatenate([[1], np.where(agrees, 1, -1)]))[:, None]


def _across(line: np.ndarray, planes: np.ndarray, flatness: np.ndarray) -> np.ndarray:
    """The direction of the ribbon's width along its line, at right angles to it; shape (S, 3).

    Where the ribbon is flat (1) it lies in its plane; where it is round (0) the direction only follows the line, since
    the peptides of a loop turn this way and that.
    """
    tangent = _unit(np.gradient(line, axis=0))
    direction, found = planes[0], np.empty_like(line)
    for step, (along, plane, flat) in enumerate(zip(tangent, planes, flatness, strict=True)):
        kept = _unit(direction - direction @ along * along)
        wanted = _unit(plane - plane @ along * along)
        direction = _unit((1 - flat) * kept + flat * np.copysign(1.0, wanted @ kept) * wanted)
        found[step] = direction
    return found


def _flatness(kinds: np.ndarray, where: np.ndarray) -> np.ndarray:
    return np.interp(where, np.arange(len(kinds)), kinds != "c")


def _sizes(kinds: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Half width and half thickness at each place of the line, Angstrom; shape (S, 2)."""
    of_residue = np.array([_SIZES[kind] for kind in kinds])
    sizes = np.stack([np.interp(where, np.arange(len(kinds)), each) for each in of_residue.T], axis=1)
    for last in np.flatnonzero((kinds == "b") & (np.append(kinds[1:], "c") != "b")):
        head = (where > last - 1) & (where <= last)  # an arrow: at once wide, narrow at the last residue
        sizes[head, 0] = np.interp(where[head], [last - 1, last], [_HEAD_WIDTH, _SIZES["c"][0]])
    return sizes


def _spline(points: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Catmull-Rom through the points (n, 3) at places from 0 to n - 1; beyond the ends the line goes straight on."""
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    start = np.minimum(where.astype(np.int64), len(points) - 2)
    t = (where - start)[:, None]
    before, here, there, after = (padded[start + i] for i in range(4))
    return here + t / 2 * (
        (there - before) + t * (2 * before - 5 * here + 4 * there - after + t * (3 * (here - there) + after - before))
    )


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
