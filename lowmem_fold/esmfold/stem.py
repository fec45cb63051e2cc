"""The language model stem: ESM-2, its layers mixed by the learned weights as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["language_model_tokens", "mixed_states"]


def language_model_tokens(model: nn.Module, aatype: Tensor) -> Tensor:
    """ESM token ids (L + 2,), with <cls> and <eos>, of residue types (L,) in AlphaFold's order."""
    residues = model.af2_to_esm.to(aatype.device)[aatype + 1]
    return torch.cat(
        [residues.new_tensor([model.esm_dict_cls_idx]), residues, residues.new_tensor([model.esm_dict_eos_idx])]
    )


def mixed_states(
    model: nn.Module,
    groups: Sequence[Sequence[Tensor]],
    layers: Iterable[nn.Module] | None = None,
    progress: Callable[[float], None] | None = None,
) -> list[Tensor]:
    """For each group of records the softmax-weighted sum (T, D) over the embedding and all layers' states, of their
    packed residues.

    A running sum: the states of 37 layers are never held together. Stock: `compute_language_model_representations`.

    groups: residue types (L,) of the records of each. A group is computed at once; each layer is visited once.
    layers: those of the model as they come; by default as they are there.
    progress: called after each layer with the part that is done.
    """
    esm = model.esm
    weights = model.esm_s_combine.softmax(0)
    packs = [_Packed(model, aatypes, weights[0]) for aatypes in groups]
    depth = len(esm.encoder.layer)
    for number, layer in enumerate(esm.encoder.layer if layers is None else layers, start=1):
        for pack in packs:
            pack.h = _layer(layer, pack.h, pack.cos, pack.sin, pack.lengths)
            state = esm.encoder.emb_layer_norm_after(pack.h) if number == depth and _has_last_norm(esm) else pack.h
            pack.mixed.addcmul_(state.to(pack.mixed.dtype), weights[number])
        if progress is not None:
            progress(number / depth)
    return [torch.cat([record[1:-1] for record in pack.mixed.split(pack.lengths)]) for pack in packs]


class _Packed:
    """Records that follow one another in one matrix: their states `h` (T, D), and the sum of these so far."""

    cos: Tensor | None
    sin: Tensor | None

    def __init__(self, model: nn.Module, aatypes: Sequence[Tensor], weight: Tensor) -> None:
        esm = model.esm
        tokens = [language_model_tokens(model, aatype) for aatype in aatypes]
        self.lengths = [len(t) for t in tokens]
        self.h = torch.cat([esm.embeddings(t[None], attention_mask=torch.ones_like(t)[None])[0] for t in tokens])
        self.cos, self.sin = _rotary_tables(esm, self.lengths, self.h)
        self.mixed = weight * self.h.to(weight.dtype)


def _has_last_norm(esm: nn.Module) -> bool:
    return esm.encoder.emb_layer_norm_after is not None


def _rotary_tables(esm: nn.Module, lengths: Sequence[int], h: Tensor) -> tuple[Tensor, Tensor] | tuple[None, None]:
    """cos and sin (T, 1, head width) of the rotary positions, or None where the model has absolute ones."""
    if esm.embeddings.position_embedding_type != "rotary":
        return None, None
    positions = torch.cat([torch.arange(n, device=h.device) for n in lengths])
    cos, sin = esm.rotary_embeddings(h, positions[None])
    return cos[0, :, None], sin[0, :, None]


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding in float32, as stock has it, of x (T, heads, width)."""
    left, right = x.float().chunk(2, dim=-1)
    return (x.float() * cos + torch.cat([-right, left], dim=-1) * sin).to(x.dtype)


def _layer(layer: nn.Module, h: Tensor, cos: Tensor | None, sin: Tensor | None, lengths: Sequence[int]) -> Tensor:
    attention = layer.attention.self
    x = layer.attention.LayerNorm(h)
    shape = (len(h), attention.num_attention_heads, attention.attention_head_size)
    q = attention.query(x).view(shape) * attention.attention_head_size**-0.5
    k, v = attention.key(x).view(shape), attention.value(x).view(shape)
    if cos is not None and sin is not None:
        q, k = _rotated(q, cos, sin), _rotated(k, cos, sin)
    attended = torch.empty_like(x)
    packed = (t.split(list(lengths)) for t in (attended.view(shape), q, k, v))
    for out, *of_record in zip(*packed, strict=True):
        q_record, k_record, v_record = (t.transpose(0, 1)[None] for t in of_record)
        result = F.scaled_dot_product_attention(q_record, k_record, v_record, scale=1.0)  # q is scaled already
        out.copy_(result[0].transpose(0, 1))
    del q, k, v, x
    h = layer.attention.output.dense(attended).add_(h)
    hidden = F.gelu(layer.intermediate.dense(layer.LayerNorm(h)))
    return layer.output.dense(hidden).add_(h)
