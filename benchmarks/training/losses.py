"""Training losses of the demo model. Lengths in Angstrom; I iterations, B chains, L residues.

Every loss is a mean over each chain's real residues (or pairs of them), then over the chains.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from lowmem_fold.sequences.residues import CHI_IS_SYMMETRIC, RESIDUE_LETTERS

from .forward import Output
from .geometry import backbone_frames, backbone_torsions, ideal_cb

__all__ = ["WEIGHTS", "Truth", "backbone_fape", "lddt_ca", "losses", "smooth_lddt_ca", "total"]

WEIGHTS = {
    "fape": 1.0,
    "smooth_lddt": 1.0,
    "distogram": 0.6,
    "torsion": 0.2,
    "chi": 0.3,
    "angle_norm": 0.02,
    "bonds": 0.1,
    "clashes": 0.1,
    "plddt": 0.1,
    "pae": 0.05,
}
"""What each loss counts in the sum that is minimised."""


_SYMMETRIC_CHI = [[(letter, i) in CHI_IS_SYMMETRIC for i in range(4)] for letter in RESIDUE_LETTERS]


@dataclass
class Truth:
    """The known structure: backbone N, CA, C (B, L, 3, 3) and the mask (B, L) of real residues; where side chains are
    known, chi angles (B, L, 4) in radians, NaN where there is none, and residue types (B, L)."""

    backbone: Tensor
    mask: Tensor
    chi: Tensor | None = None
    aatype: Tensor | None = None

    @property
    def pairs(self) -> Tensor:
        """Mask (B, L, L) of pairs of real residues."""
        return self.mask[:, :, None] & self.mask[:, None, :]

    @property
    def bonded(self) -> Tensor:
        """Mask (B, L - 1): the C of a residue is bonded to the next one's N."""
        length = (self.backbone[:, 1:, 0] - self.backbone[:, :-1, 2]).norm(dim=-1)
        return (length < 2.0) & self.mask[:, 1:] & self.mask[:, :-1]


def total(terms: dict[str, Tensor], clashes: float = 1.0) -> Tensor:
    """The weighted sum of `losses`; `clashes` (0 to 1) scales that term, meaningless until residues have places."""
    scale = {"clashes": clashes}
    return torch.stack([WEIGHTS[name] * scale.get(name, 1.0) * value for name, value in terms.items()]).sum()


def losses(output: Output, truth: Truth, clamp: Tensor) -> dict[str, Tensor]:
    """All losses by name; "chi" only where side chains are known.

    Parameters
    ----------
    clamp : Tensor, shape=(B,)
        The distance at which each chain's FAPE is cut off.
    """
    frames = backbone_frames(truth.backbone)
    error, smooth = _structure_losses(output, truth, frames, clamp)
    torsion, norm = torsion_loss(output.angles, truth)
    chi = {} if truth.chi is None else {"chi": chi_loss(output.angles, truth)}
    return {
        "fape": error,
        "smooth_lddt": smooth,
        "distogram": distogram_loss(output.distogram_logits, truth),
        "torsion": torsion,
        **chi,
        "angle_norm": norm,
        "bonds": bond_loss(output.backbone, truth),
        "clashes": clash_loss(output.backbone[:, :, 1], truth),
        "plddt": plddt_loss(output, truth),
        "pae": pae_loss(output, truth, frames),
    }


def _structure_losses(
    output: Output, truth: Truth, frames: tuple[Tensor, Tensor], clamp: Tensor
) -> tuple[Tensor, Tensor]:
    """FAPE and smooth lDDT, half of each from the last iteration and half from the mean of all."""
    fape = torch.stack(
        [backbone_fape(r, t, *frames, truth.mask, clamp) for r, t in zip(output.rotations, output.origins, strict=True)]
    )
    smooth = 1 - smooth_lddt_ca(output.origins[-1], truth.backbone[:, :, 1], truth.mask).mean()
    return (fape[-1] + fape.mean()) / 2, smooth


def _masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over all but the first dimension where `mask` holds, then over the first."""
    mask = mask.to(values.dtype)
    return ((values * mask).flatten(1).sum(1) / mask.flatten(1).sum(1).clamp(min=1)).mean()


def _aligned_errors(rotations: Tensor, origins: Tensor, true_rotations: Tensor, true_origins: Tensor) -> Tensor:
    """Squared error (B, L, L) of the origin of residue j seen from the frame of residue i."""

    def local(rotation: Tensor, origin: Tensor) -> Tensor:
        return (origin[:, None, :, :] - origin[:, :, None, :]) @ rotation

    return (local(rotations, origins) - local(true_rotations, true_origins)).pow(2).sum(-1)


def backbone_fape(
    rotations: Tensor, origins: Tensor, true_rotations: Tensor, true_origins: Tensor, mask: Tensor, clamp: Tensor
) -> Tensor:
    """Frame-aligned point error of the CA atoms in units of 10 Angstrom (AlphaFold 2, algorithm 28).

    Parameters
    ----------
    rotations, true_rotations : Tensor, shape=(B, L, 3, 3)
    origins, true_origins : Tensor, shape=(B, L, 3)
    mask : Tensor, shape=(B, L), dtype=bool
    clamp : Tensor, shape=(B,)
        Cut-off of the error.
    """
    squares = _aligned_errors(rotations, origins, true_rotations, true_origins)
    errors = torch.sqrt(squares + 1e-4).minimum(clamp[:, None, None]) / 10
    return _masked_mean(errors, mask[:, :, None] & mask[:, None, :])


def _lddt_pairs(true_ca: Tensor, mask: Tensor, cutoff: float = 15.0) -> tuple[Tensor, Tensor]:
    distances = torch.cdist(true_ca, true_ca)
    other = ~torch.eye(true_ca.shape[1], dtype=torch.bool, device=true_ca.device)
    return distances, (distances < cutoff) & other & mask[:, :, None] & mask[:, None, :]


@torch.no_grad()
def lddt_ca(ca: Tensor, true_ca: Tensor, mask: Tensor) -> Tensor:
    """lDDT (B, L), 0 to 1, of CA positions (B, L, 3): radius 15, thresholds 0.5, 1, 2 and 4 (Mariani et al. 2013)."""
    distances, pairs = _lddt_pairs(true_ca, mask)
    difference = (torch.cdist(ca, ca) - distances).abs()
    kept = torch.stack([difference < limit for limit in (0.5, 1.0, 2.0, 4.0)]).float().mean(0)
    return (kept * pairs).sum(-1) / pairs.sum(-1).clamp(min=1)


def smooth_lddt_ca(ca: Tensor, true_ca: Tensor, mask: Tensor) -> Tensor:
    """A differentiable lDDT (B,): each threshold softened to a sigmoid (AlphaFold 3, algorithm 27)."""
    distances, pairs = _lddt_pairs(true_ca, mask)
    squares = (ca[:, :, None, :] - ca[:, None, :, :]).pow(2).sum(-1)
    difference = (torch.sqrt(squares + 1e-6) - distances).abs()
    kept = torch.stack([torch.sigmoid(limit - difference) for limit in (0.5, 1.0, 2.0, 4.0)]).mean(0)
    return (kept * pairs).sum((1, 2)) / pairs.sum((1, 2)).clamp(min=1)


def distogram_loss(logits: Tensor, truth: Truth) -> Tensor:
    """Cross-entropy of the CB-CB distance in 64 bins from 2.3125 to 21.6875."""
    cb = ideal_cb(truth.backbone)
    boundaries = torch.linspace(2.3125, 21.6875, 63, device=cb.device)
    bins = torch.bucketize(torch.cdist(cb, cb), boundaries)
    entropy = F.cross_entropy(logits.float().flatten(0, 2), bins.flatten(), reduction="none").view_as(bins)
    return _masked_mean(entropy, truth.pairs)


def torsion_loss(angles: Tensor, truth: Truth) -> tuple[Tensor, Tensor]:
    """Squared error of omega, phi and psi on the unit circle, and how far all seven angles' norms are from 1.

    Parameters
    ----------
    angles : Tensor, shape=(B, L, 7, 2)
        Sines and cosines, not normalised.
    """
    norm = torch.sqrt(angles.pow(2).sum(-1) + 1e-8)
    target, known = backbone_torsions(truth.backbone, truth.bonded)
    error = (angles[:, :, :3] / norm[:, :, :3, None] - target).pow(2).sum(-1)
    return _masked_mean(error, known), _masked_mean((norm - 1).abs().mean(-1), truth.mask)


def chi_loss(angles: Tensor, truth: Truth) -> Tensor:
    """Squared error of chi 1 to 4 on the unit circle; the smaller one of an angle that two like atoms' names turn.

    Parameters
    ----------
    angles : Tensor, shape=(B, L, 7, 2)
        Sines and cosines, not normalised; chi is the last four.
    """
    assert truth.chi is not None and truth.aatype is not None
    known = torch.isfinite(truth.chi) & truth.mask[..., None]
    chi = truth.chi.nan_to_num()
    target = torch.stack([chi.sin(), chi.cos()], dim=-1)
    unit = angles[:, :, 3:] / torch.sqrt(angles[:, :, 3:].pow(2).sum(-1, keepdim=True) + 1e-8)
    error, turned = ((unit - sign * target).pow(2).sum(-1) for sign in (1, -1))
    symmetric = torch.as_tensor(_SYMMETRIC_CHI, device=angles.device)[truth.aatype]
    return _masked_mean(torch.where(symmetric, error.minimum(turned), error), known)


def bond_loss(backbone: Tensor, truth: Truth) -> Tensor:
    """How far the four distances across each peptide bond are from ideal, beyond 0.1, in Angstrom (at most 5 each)."""
    n, ca, c = backbone.unbind(2)
    ideal = ((c, n, 1.33), (ca, ca, 3.80), (ca, n, 2.43), (c, ca, 2.43))
    errors = [
        (torch.sqrt((first[:, :-1] - second[:, 1:]).pow(2).sum(-1) + 1e-6) - length).abs()
        for first, second, length in ideal
    ]
    return _masked_mean(torch.relu(torch.stack(errors).mean(0) - 0.1).clamp(max=5), truth.bonded)


def clash_loss(ca: Tensor, truth: Truth, closest: float = 3.8) -> Tensor:
    """By how much CA atoms three or more residues apart come closer than `closest`, summed for each residue."""
    squares = (ca[:, :, None, :] - ca[:, None, :, :]).pow(2).sum(-1)
    index = torch.arange(ca.shape[1], device=ca.device)
    apart = (index[:, None] - index[None, :]).abs() > 2
    overlap = torch.relu(closest - torch.sqrt(squares + 1e-6)) * (truth.pairs & apart)
    return _masked_mean(overlap.sum(-1), truth.mask)


def plddt_loss(output: Output, truth: Truth) -> Tensor:
    """Cross-entropy of the measured lDDT-CA in 50 bins; a residue's 37 atoms share its target."""
    measured = lddt_ca(output.origins[-1].detach(), truth.backbone[:, :, 1], truth.mask)
    bins = (measured * 50).long().clamp(max=49)[:, :, None].expand(-1, -1, 37)
    entropy = F.cross_entropy(output.lddt_logits.float().flatten(0, 2), bins.flatten(), reduction="none").view_as(bins)
    return _masked_mean(entropy.mean(-1), truth.mask)


def pae_loss(output: Output, truth: Truth, frames: tuple[Tensor, Tensor]) -> Tensor:
    """Cross-entropy of the measured aligned error in 64 bins from 0 to 31."""
    with torch.no_grad():
        error = _aligned_errors(output.rotations[-1], output.origins[-1], *frames).sqrt()
        bins = torch.bucketize(error, torch.linspace(0, 31, 63, device=error.device))
    logits = output.pae_logits.float()
    entropy = F.cross_entropy(logits.flatten(0, 2), bins.flatten(), reduction="none").view_as(bins)
    return _masked_mean(entropy, truth.pairs)
