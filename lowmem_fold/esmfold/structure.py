"""The structure module: invariant point attention over blocks of query residues, then atoms.

Only what feeds the next step is computed: side chains and atoms come from the last iteration alone. Rigid bodies and
the tables of ideal residues are those of transformers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.models.esm.openfold_utils import Rigid, Rotation

from ..pair.projection import channels_first
from ..pair.storage import widened
from ..pair.tiles import Tiling, tiles

__all__ = ["Structure", "atom14_positions", "predict_structure"]


@dataclass(frozen=True)
class Structure:
    """A structure of L residues.

    frames: (L, 7) backbone frames, a quaternion and a translation in Angstrom.
    angles: (L, 7, 2) torsion angles (omega, phi, psi, chi 1 to 4) as sine and cosine.
    positions: (L, 14, 3) atoms in Angstrom, atom14 order; those of an unknown residue are zero.
    state: (L, C) the residues' final state, from which pLDDT is read.
    """

    frames: Tensor
    angles: Tensor
    positions: Tensor
    state: Tensor


def predict_structure(trunk: nn.Module, s: Tensor, z: Tensor, aatype: Tensor, tiling: Tiling) -> Structure:
    """Structure of one record from its sequence state (L, C_s), pair state (L, L, C) and residue types (L,)."""
    module = trunk.structure_module
    pair_rows = _PairRows(trunk.trunk2sm_z, module.layer_norm_z, z)
    s = initial = module.layer_norm_s(trunk.trunk2sm_s(s))
    s = module.linear_in(s)
    rigids = Rigid.identity(s.shape[:-1], s.dtype, s.device, False, fmt="quat")
    bias = _attention_bias(module.ipa, pair_rows, tiling)
    for _ in range(module.config.num_blocks):
        s = module.layer_norm_ipa(s + _invariant_point_attention(module.ipa, s, pair_rows, bias, rigids, tiling))
        s = module.transition(s)
        rigids = rigids.compose_q_update_vec(module.bb_update(s))
    _, angles = module.angle_resnet(s, initial)
    frames = rigids.scale_translation(module.config.trans_scale_factor).to_tensor_7()
    return Structure(frames, angles, atom14_positions(module, frames, angles, aatype), state=s)


def atom14_positions(module: nn.Module, frames: Tensor, angles: Tensor, aatype: Tensor) -> Tensor:
    """Atoms (L, 14, 3) in Angstrom of backbone frames (L, 7) in Angstrom and torsion angles (L, 7, 2)."""
    rigids = Rigid.from_tensor_7(frames)
    backbone = Rigid(Rotation(rot_mats=rigids.get_rots().get_rot_mats(), quats=None), rigids.get_trans())
    all_frames = module.torsion_angles_to_frames(backbone, angles, aatype)
    return module.frames_and_literature_positions_to_atom14_pos(all_frames, aatype)


@dataclass(frozen=True)
class _PairRows:
    """The structure module's view of the pair state: projected and normalised for a block of rows when asked for."""

    linear: nn.Linear
    norm: nn.LayerNorm
    z: Tensor

    def __getitem__(self, rows: slice) -> Tensor:
        return self.norm(self.linear(widened(self.z[rows], self.dtype)))

    @property
    def dtype(self) -> torch.dtype:
        """What is computed in, whatever z is stored in."""
        return self.norm.weight.dtype

    def height(self, tiling: Tiling, floats_per_pair: int) -> int:
        return tiling.height(len(self.z), 2 * self.linear.out_features + floats_per_pair, self.dtype.itemsize)


def _attention_bias(ipa: nn.Module, pair_rows: _PairRows, tiling: Tiling) -> Tensor:
    """Pair bias (heads, L, L) of the attention; it is the same in every iteration."""
    length = len(pair_rows.z)
    bias = pair_rows.z.new_empty(ipa.num_heads, length, length, dtype=pair_rows.dtype)
    weight = ipa.linear_b.weight
    for rows in tiles(length, pair_rows.height(tiling, ipa.num_heads)):
        pairs = pair_rows[rows].view(-1, pair_rows.linear.out_features)
        bias[:, rows] = channels_first(pairs, weight, ipa.linear_b.bias).view(ipa.num_heads, -1, length)
    return bias


def _invariant_point_attention(
    ipa: nn.Module, s: Tensor, pair_rows: _PairRows, bias: Tensor, rigids: Rigid, tiling: Tiling
) -> Tensor:
    """Update (L, C) of the residues' state; AlphaFold 2 supplement, algorithm 22."""
    length, heads, width = len(s), ipa.num_heads, ipa.hidden_dim
    q = ipa.linear_q(s).view(length, heads, width).transpose(0, 1)
    k, v = ipa.linear_kv(s).view(length, heads, 2 * width).transpose(0, 1).split(width, dim=-1)
    q_points = _global_points(ipa.linear_q_points(s), rigids, heads)
    k_points, v_points = _global_points(ipa.linear_kv_points(s), rigids, heads).split(
        [3 * ipa.num_qk_points, 3 * ipa.num_v_points], dim=-1
    )
    point_weight = F.softplus(ipa.head_weights) * math.sqrt(1.0 / (3 * (ipa.num_qk_points * 9.0 / 2))) * -0.5
    values = torch.cat([v.to(v_points.dtype), v_points], dim=-1)
    update = torch.empty_like(s)
    for rows in tiles(length, pair_rows.height(tiling, 3 * heads)):
        logits = _squared_distances(q_points[:, rows], k_points).mul_(point_weight[:, None, None])
        logits.add_(bias[:, rows], alpha=math.sqrt(1.0 / 3))
        logits.baddbmm_(q[:, rows], k.transpose(1, 2), alpha=math.sqrt(1.0 / (3 * width)))
        weights = logits.softmax(-1)
        del logits
        scalars, points = torch.bmm(weights, values).transpose(0, 1).split([width, 3 * ipa.num_v_points], dim=-1)
        pairs = torch.bmm(weights.transpose(0, 1), pair_rows[rows])
        points = points.reshape(*points.shape[:2], -1, 3)
        points = rigids[rows, None, None].invert_apply(points).flatten(1, 2)
        norms = torch.sqrt(torch.sum(points**2, dim=-1) + ipa.config.epsilon)
        features = (scalars.flatten(1), *points.unbind(-1), norms, pairs.flatten(1))
        update[rows] = ipa.linear_out(torch.cat(features, dim=-1).to(s.dtype))
        del weights, pairs, features
    return update


def _global_points(x: Tensor, rigids: Rigid, heads: int) -> Tensor:
    """Points (heads, L, P * 3) in the global frame, of a linear layer's output (L, 3 * heads * P)."""
    points = torch.stack(x.chunk(3, dim=-1), dim=-1)
    return rigids[..., None].apply(points).view(len(x), heads, -1).transpose(0, 1)


def _squared_distances(q: Tensor, k: Tensor) -> Tensor:
    """Sum over all points of |q - k|^2, (heads, n, L), of q (heads, n, P * 3) and k (heads, L, P * 3).

    Differences are taken first: expanding the square would lose the digits that nearby residues need.
    """
    total = q.new_zeros(q.shape[0], q.shape[1], k.shape[1])
    for of_q, of_k in zip(q.unbind(-1), k.unbind(-1), strict=True):
        difference = of_q[:, :, None] - of_k[:, None, :]
        total.addcmul_(difference, difference)
    return total
