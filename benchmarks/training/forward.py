"""ESMFold's forward pass for training: the stock modules' weights, fewer copies.

Equal to stock `EsmForProteinFolding.forward` on the same modules (a test compares them), with the projections of a
module fused into one product, triangle products in channel-first layout, the pair bias of the structure module computed
once, and only the backbone placed. B is the batch, L the length, C a width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import EsmForProteinFolding
from transformers.models.esm.openfold_utils import residue_constants

from .geometry import ideal_cb

__all__ = ["Output", "fold", "stem_states"]


@dataclass
class Output:
    """What the losses need; I is the number of iterations of the structure module."""

    rotations: Tensor  # (I, B, L, 3, 3) of the residue frames
    origins: Tensor  # (I, B, L, 3) Angstrom
    angles: Tensor  # (B, L, 7, 2) sine and cosine, not normalised
    backbone: Tensor  # (B, L, 3, 3) N, CA, C of the last iteration
    distogram_logits: Tensor  # (B, L, L, 64)
    pae_logits: Tensor  # (B, L, L, 64)
    lddt_logits: Tensor  # (B, L, 37, 50)
    pair: Tensor  # (B, L, L, C) pair state after the trunk


@torch.no_grad()
def stem_states(model: EsmForProteinFolding, aatype: Tensor, mask: Tensor) -> Tensor:
    """All hidden states (B, L, layers + 1, width) of the frozen stem for residue types `aatype` (B, L)."""
    return model.compute_language_model_representations(model.af2_idx_to_esm_idx(aatype, mask.long()))


def fold(
    model: EsmForProteinFolding,
    states: Tensor,
    aatype: Tensor,
    residue_index: Tensor,
    mask: Tensor,
    num_recycles: int = 0,
) -> Output:
    """Fold from the stem's states; gradients flow through the last pass alone.

    Parameters
    ----------
    states : Tensor, shape=(B, L, layers + 1, C)
        From `stem_states`.
    aatype : Tensor, shape=(B, L), dtype=int64
        Residue types in AlphaFold's order.
    residue_index : Tensor, shape=(B, L), dtype=int64
    mask : Tensor, shape=(B, L), dtype=bool
        False on padding.
    num_recycles : int
        Passes before the last one.
    """
    trunk = model.trunk
    mixed = torch.einsum("n,blnc->blc", model.esm_s_combine.softmax(0), states)
    sequence_0 = model.esm_s_mlp(mixed) + model.embedding(aatype)
    sequence, pair = torch.zeros_like(sequence_0), None
    bins = torch.zeros((*aatype.shape, aatype.shape[1]), dtype=torch.long, device=aatype.device)
    position = _relative_position(trunk.pairwise_positional_embedding, residue_index, mask)
    padded = None if bool(mask.all()) else mask  # asked once: on a GPU the answer has to be waited for
    for step in range(num_recycles + 1):
        with torch.set_grad_enabled(torch.is_grad_enabled() and step == num_recycles):
            sequence, pair = _recycle(trunk, sequence_0, sequence, pair, bins, position)
            for block in trunk.blocks:
                sequence, pair = trunk_block(block, sequence, pair, padded)
            with torch.autocast(pair.device.type, enabled=False):
                structure = structure_module(trunk, sequence.float(), pair.float(), aatype, padded)
            bins = recycling_bins(structure[3].detach(), trunk.recycle_bins)
            sequence, pair = (sequence.detach(), pair.detach()) if step < num_recycles else (sequence, pair)
    return _heads(model, pair, structure)


def _recycle(
    trunk: nn.Module, sequence_0: Tensor, sequence: Tensor, pair: Tensor | None, bins: Tensor, position: Tensor
) -> tuple[Tensor, Tensor]:
    """The trunk's input: last pass's states normalised, its distances, the relative positions."""
    normalised = trunk.recycle_z_norm.bias if pair is None else trunk.recycle_z_norm(pair)
    return sequence_0 + trunk.recycle_s_norm(sequence), normalised + trunk.recycle_disto(bins) + position


def _relative_position(module: nn.Module, residue_index: Tensor, mask: Tensor) -> Tensor:
    offset = residue_index[:, None, :] - residue_index[:, :, None]
    index = offset.clamp(-module.bins, module.bins) + module.bins + 1
    return module.embedding(index * (mask[:, None, :] & mask[:, :, None]))


def recycling_bins(backbone: Tensor, num_bins: int) -> Tensor:
    """Index (B, L, L) of the CB-CB distance among the bins of the recycling embedding."""
    boundaries = torch.linspace(3.375, 21.375, num_bins - 1, device=backbone.device) ** 2
    cb = ideal_cb(backbone)
    squares = (cb[:, None, :, :] - cb[:, :, None, :]).pow(2).sum(-1)
    return torch.bucketize(squares, boundaries)


def trunk_block(block: nn.Module, sequence: Tensor, pair: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """One block of the trunk: sequence (B, L, C) and pair (B, L, L, C) states in and out; no mask, no padding."""
    sequence = sequence + _sequence_attention(block, sequence, pair, mask)
    sequence = sequence + _mlp(block.mlp_seq.mlp, sequence)
    pair = pair + _sequence_to_pair(block.sequence_to_pair, sequence)
    pair = pair + _triangle_product(block.tri_mul_out, pair, mask, outgoing=True)
    pair = pair + _triangle_product(block.tri_mul_in, pair, mask, outgoing=False)
    pair = pair + _triangle_attention(block.tri_att_start, pair, mask)
    pair = pair + _triangle_attention(block.tri_att_end, pair.transpose(1, 2), mask).transpose(1, 2)
    pair = pair + _mlp(block.mlp_pair.mlp, pair)
    return sequence, pair


def _norm(layer: nn.Module, x: Tensor) -> Tensor:
    """Layer normalisation in float32, its result cast once to what the products under autocast will want."""
    kind, y = x.device.type, layer(x)
    return y.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else y


def _hide_padding(bias: Tensor, mask: Tensor | None) -> Tensor:
    """The bias (B, H, L, L) of attention, with a large negative number where the key is padding."""
    return bias if mask is None else bias.masked_fill(~mask[:, None, None, :], -1e4)


def _sequence_attention(block: nn.Module, sequence: Tensor, pair: Tensor, mask: Tensor | None) -> Tensor:
    attention, x = block.seq_attention, _norm(block.layernorm_1, sequence)
    bias = _hide_padding(block.pair_to_sequence(pair).permute(0, 3, 1, 2), mask)
    q, k, v = attention.proj(x).unflatten(-1, (attention.num_heads, -1)).transpose(1, 2).chunk(3, dim=-1)
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype)).transpose(1, 2).flatten(2)
    return attention.o_proj(attention.g_proj(x).sigmoid() * y)


def _mlp(layers: nn.Sequential, x: Tensor) -> Tensor:
    norm, up, _, down, _ = layers
    return down(torch.relu_(up(_norm(norm, x))))


def _sequence_to_pair(module: nn.Module, sequence: Tensor) -> Tensor:
    """The product part per pair; the difference part is linear, so it is projected per residue and added."""
    q, k = module.proj(module.layernorm(sequence)).chunk(2, dim=-1)
    product, difference = module.o_proj.weight.chunk(2, dim=1)
    pairs = F.linear(q[:, None, :, :] * k[:, :, None, :], product, module.o_proj.bias)
    return pairs + F.linear(q, difference)[:, None, :, :] - F.linear(k, difference)[:, :, None, :]


def _triangle_product(module: nn.Module, pair: Tensor, mask: Tensor | None, *, outgoing: bool) -> Tensor:
    """Triangle multiplication; the four projections come out channel-first, as the products want them."""
    batch, length, _, width = pair.shape
    normed = _norm(module.layer_norm_in, pair)
    layers = (module.linear_a_p, module.linear_b_p, module.linear_a_g, module.linear_b_g)
    weight = torch.cat([layer.weight for layer in layers]).expand(batch, -1, -1)
    bias = torch.cat([layer.bias for layer in layers])[None, :, None]
    both = F.glu(torch.baddbmm(bias, weight, normed.flatten(1, 2).transpose(1, 2)), dim=1)
    both = both.view(batch, 2, width, length, length)
    if mask is not None:
        both = both * (mask[:, :, None] & mask[:, None, :])[:, None, None]
    a, b = both.unbind(1)
    product = a @ b.transpose(-1, -2) if outgoing else a.transpose(-1, -2) @ b
    out = _norm(module.layer_norm_out, product.flatten(2).transpose(1, 2).contiguous()).view_as(normed)
    return module.linear_z(out) * module.linear_g(normed).sigmoid()


def _triangle_attention(module: nn.Module, pair: Tensor, mask: Tensor | None) -> Tensor:
    """Attention along the rows of `pair`; the ending node is the starting node of the transpose."""
    attention, heads = module.mha, module.no_heads
    x = _norm(module.layer_norm, pair)
    bias = _hide_padding(module.linear(x).permute(0, 3, 1, 2), mask)[:, None]
    weight = torch.cat([attention.linear_q.weight, attention.linear_k.weight, attention.linear_v.weight])
    q, k, v = F.linear(x, weight).unflatten(-1, (3, heads, -1)).permute(3, 0, 1, 4, 2, 5).unbind(0)
    y = _attend(q, k, v, bias).transpose(2, 3).flatten(3)
    return attention.linear_o(y * attention.linear_g(x).sigmoid())


def _attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """Attention of (B, L, H, L, D) under a bias (B, 1, H, L, L) shared by the rows."""
    if q.is_cuda:
        batch, rows = q.shape[:2]
        shared = bias.expand(batch, rows, *bias.shape[2:]).flatten(0, 1)
        q, k, v = (t.flatten(0, 1) for t in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v, attn_mask=shared).unflatten(0, (batch, rows))
    # The CPU's fused kernel gives no gradient for the bias, and its fallback copies more than this.
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    return scores.add_(bias).softmax(-1) @ v


def structure_module(
    trunk: nn.Module, sequence: Tensor, pair: Tensor, aatype: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The structure module: rotations (I, B, L, 3, 3), origins (I, B, L, 3), angles, backbone, last single state."""
    module = trunk.structure_module
    config = module.config
    initial = module.layer_norm_s(trunk.trunk2sm_s(sequence))
    pair = module.layer_norm_z(trunk.trunk2sm_z(pair))
    bias = _hide_padding(module.ipa.linear_b(pair).permute(0, 3, 1, 2) * math.sqrt(1 / 3), mask)
    state = module.linear_in(initial)
    quaternion = state.new_tensor([1.0, 0.0, 0.0, 0.0]).expand(*state.shape[:2], 4)
    origin = state.new_zeros(*state.shape[:2], 3)
    rotation = torch.eye(3, device=state.device).expand(*state.shape[:2], 3, 3)
    rotations, origins = [], []
    for _ in range(config.num_blocks):
        state = state + _invariant_point_attention(module.ipa, state, pair, bias, rotation, origin)
        state = module.transition(module.layer_norm_ipa(module.ipa_dropout(state)))
        turn, shift = module.bb_update(state).split(3, dim=-1)
        origin = origin + (rotation @ shift[..., None])[..., 0]
        quaternion = _turn(quaternion, turn)
        rotation = _rotation(quaternion)
        rotations.append(rotation)
        origins.append(origin * config.trans_scale_factor)
        quaternion, rotation = quaternion.detach(), rotation.detach()
    angles, _ = module.angle_resnet(state, initial)
    backbone = _place_backbone(rotations[-1], origins[-1], aatype)
    return torch.stack(rotations), torch.stack(origins), angles, backbone, state


def _invariant_point_attention(
    ipa: nn.Module, state: Tensor, pair: Tensor, bias: Tensor, rotation: Tensor, origin: Tensor
) -> Tensor:
    """Scalar and point terms in one product: squared distances but for the query's own square, which softmax drops."""
    heads, width, points = ipa.num_heads, ipa.hidden_dim, ipa.num_qk_points
    q = ipa.linear_q(state).unflatten(-1, (heads, -1)) * math.sqrt(1 / (3 * width))
    k, v = ipa.linear_kv(state).unflatten(-1, (heads, -1)).chunk(2, dim=-1)
    q_points = _points(ipa.linear_q_points(state), heads, rotation, origin)
    k_points, v_points = _points(ipa.linear_kv_points(state), heads, rotation, origin).split(
        [points, ipa.num_v_points], dim=3
    )
    weight = F.softplus(ipa.head_weights) * math.sqrt(1 / (3 * (points * 9 / 2)))
    queries = torch.cat([q, (q_points * weight[:, None, None]).flatten(3)], dim=-1)
    keys = torch.cat([k, k_points.flatten(3)], dim=-1)
    squares = -0.5 * weight * k_points.pow(2).sum((-1, -2))
    scores = queries.transpose(1, 2) @ keys.permute(0, 2, 3, 1) + squares.transpose(1, 2)[:, :, None, :] + bias
    attention = scores.softmax(-1)
    gathered = (attention @ torch.cat([v, v_points.flatten(3)], dim=-1).transpose(1, 2)).transpose(1, 2)
    scalars, placed = gathered[..., :width], gathered[..., width:].unflatten(-1, (-1, 3)).flatten(2, 3)
    local = (placed - origin[:, :, None]) @ rotation
    norm = torch.sqrt(local.pow(2).sum(-1) + ipa.config.epsilon)
    pairs = attention.transpose(1, 2) @ pair
    return ipa.linear_out(torch.cat([scalars.flatten(2), *local.unbind(-1), norm, pairs.flatten(2)], dim=-1))


def _points(projected: Tensor, heads: int, rotation: Tensor, origin: Tensor) -> Tensor:
    """Points (B, L, H, P, 3) in the global frame from a projection laid out as all x, all y, all z."""
    local = projected.unflatten(-1, (3, -1)).transpose(-1, -2)
    return (local @ rotation.transpose(-1, -2) + origin[:, :, None]).unflatten(2, (heads, -1))


def _turn(quaternion: Tensor, turn: Tensor) -> Tensor:
    """The quaternion after the update (1, turn), normalised."""
    scalar, vector = quaternion[..., :1], quaternion[..., 1:]
    change = torch.cat(
        [-(vector * turn).sum(-1, keepdim=True), scalar * turn + torch.linalg.cross(vector, turn)], dim=-1
    )
    total = quaternion + change
    return total / torch.linalg.norm(total, dim=-1, keepdim=True)


def _rotation(quaternion: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) of unit quaternions (..., 4)."""
    a, b, c, d = quaternion.unbind(-1)
    entries = [
        a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c),
        2 * (b * c + a * d), a * a - b * b + c * c - d * d, 2 * (c * d - a * b),
        2 * (b * d - a * c), 2 * (c * d + a * b), a * a - b * b - c * c + d * d,
    ]  # fmt: skip
    return torch.stack(entries, dim=-1).unflatten(-1, (3, 3))


def _place_backbone(rotation: Tensor, origin: Tensor, aatype: Tensor) -> Tensor:
    """N, CA, C (B, L, 3, 3) from frames and ideal residues; an unknown residue's stand at the origin, as in stock."""
    ideal = torch.as_tensor(residue_constants.restype_atom14_rigid_group_positions[:, :3], device=origin.device)
    exists = torch.as_tensor(residue_constants.restype_atom14_mask[:, :3], device=origin.device)
    placed = ideal.to(origin.dtype)[aatype] @ rotation.transpose(-1, -2) + origin[:, :, None]
    return placed * exists.to(origin.dtype)[aatype][..., None]


def _heads(model: EsmForProteinFolding, pair: Tensor, structure: tuple) -> Output:
    rotations, origins, angles, backbone, state = structure
    distogram = model.distogram_head(pair)
    return Output(
        rotations=rotations,
        origins=origins,
        angles=angles,
        backbone=backbone,
        distogram_logits=(distogram + distogram.transpose(1, 2)) / 2,
        pae_logits=model.ptm_head(pair),
        lddt_logits=model.lddt_head(state).unflatten(-1, (37, -1)),
        pair=pair,
    )
