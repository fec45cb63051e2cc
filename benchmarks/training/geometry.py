"""Backbone geometry on tensors: frames, dihedral angles, the ideal CB. Lengths in Angstrom."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["backbone_frames", "backbone_torsions", "dihedral", "ideal_cb"]


def backbone_frames(backbone: Tensor) -> tuple[Tensor, Tensor]:
    """Residue frames: CA at the origin, C on the x axis, N in the x-y plane at positive y (AlphaFold 2, algorithm 21).

    Parameters
    ----------
    backbone : Tensor, shape=(..., 3, 3)
        Positions of N, CA, C.

    Returns
    -------
    rotations : Tensor, shape=(..., 3, 3)
        The axes are the columns.
    origins : Tensor, shape=(..., 3)
    """
    n, ca, c = backbone.unbind(-2)
    x = F.normalize(c - ca, dim=-1, eps=1e-6)
    toward_n = n - ca
    y = F.normalize(toward_n - (toward_n * x).sum(-1, keepdim=True) * x, dim=-1, eps=1e-6)
    return torch.stack([x, y, torch.linalg.cross(x, y)], dim=-1), ca


def ideal_cb(backbone: Tensor) -> Tensor:
    """Position (..., 3) of CB from N, CA, C (..., 3, 3), with the constants of ESMFold's recycling distogram."""
    n, ca, c = backbone.unbind(-2)
    b, c = ca - n, c - ca
    return -0.58273431 * torch.linalg.cross(b, c) + 0.56802827 * b - 0.54067466 * c + ca


def dihedral(p0: Tensor, p1: Tensor, p2: Tensor, p3: Tensor) -> Tensor:
    """Sine and cosine (..., 2) of the dihedral angle of four points (..., 3), by the sign convention of IUPAC."""
    axis = F.normalize(p2 - p1, dim=-1, eps=1e-6)
    v = (p0 - p1) - ((p0 - p1) * axis).sum(-1, keepdim=True) * axis
    w = (p3 - p2) - ((p3 - p2) * axis).sum(-1, keepdim=True) * axis
    sine = (torch.linalg.cross(axis, v) * w).sum(-1)
    return F.normalize(torch.stack([sine, (v * w).sum(-1)], dim=-1), dim=-1, eps=1e-6)


def backbone_torsions(backbone: Tensor, bonded: Tensor) -> tuple[Tensor, Tensor]:
    """Omega, phi and psi of a chain as sines and cosines, in the order of ESMFold's seven angles.

    The oxygen lies opposite to the next nitrogen in the peptide plane, so psi measured to the next nitrogen is the
    angle that AlphaFold takes from the oxygen and mirrors.

    Parameters
    ----------
    backbone : Tensor, shape=(B, L, 3, 3)
        Positions of N, CA, C.
    bonded : Tensor, shape=(B, L - 1), dtype=bool
        Whether residue i is bonded to residue i + 1.

    Returns
    -------
    angles : Tensor, shape=(B, L, 3, 2)
    known : Tensor, shape=(B, L, 3), dtype=bool
        The angles that exist.
    """
    n, ca, c = backbone.unbind(-2)
    omega = dihedral(ca[:, :-1], c[:, :-1], n[:, 1:], ca[:, 1:])
    phi = dihedral(c[:, :-1], n[:, 1:], ca[:, 1:], c[:, 1:])
    psi = dihedral(n[:, :-1], ca[:, :-1], c[:, :-1], n[:, 1:])
    before = [F.pad(angle, (0, 0, 1, 0)) for angle in (omega, phi)]
    angles = torch.stack([*before, F.pad(psi, (0, 0, 0, 1))], dim=2)
    has_previous, has_next = F.pad(bonded, (1, 0)), F.pad(bonded, (0, 1))
    return angles, torch.stack([has_previous, has_previous, has_next], dim=2)
