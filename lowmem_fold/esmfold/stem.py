"""The language model stem: ESM-2, its layers mixed by the learned weights as they come."""

from __future__ import annotations

from collections.abc import Sequence

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


def mixed_states(model: nn.Module, aatypes: Sequence[Tensor]) -> Tensor:
    """Softmax-weighted sum (T, D) over the embedding and all layers' states, for the packed residues of all records.

    A running sum: the states of 37 layers are never held together. Stock: `compute_language_model_representations`.
    """
    esm = model.esm
    weights = model.esm_s_combine.softmax(0)
    tokens = [language_model_tokens(model, aatype) for aatype in aatypes]
    lengths = [len(t) for t in tokens]
    h = torch.cat([esm.embeddings(t[None], attention_mask=torch.ones_like(t)[None])[0] for t in tokens])
    cos, sin = _rotary_tables(esm, lengths, h)
    mixed = weights[0] * h.to(weights.dtype)
    layers = esm.encoder.layer
    for depth, layer in enumerate(layers, start=1):
        h = _layer(layer, h, cos, sin, lengths)
        last = depth == len(layers)
        state = esm.encoder.emb_layer_norm_after(h) if last and esm.encoder.emb_layer_norm_after else h
        mixed.addcmul_(state.to(mixed.dtype), weights[depth])
    return torch.cat([record[1:-1] for record in mixed.split(lengths)])


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
