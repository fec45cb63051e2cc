"""Where the modules of an ESMFold lie, and which part each belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..checkpoints.architecture import Architecture

__all__ = ["ESMFOLD", "part_of"]

_SEQUENCE_TRACK = ("seq_attention", "mlp_seq", "layernorm_1")


def part_of(module: str) -> str:
    """The part of PARTS that a module of ESMFold, by its name, belongs to."""
    if module.startswith("esm."):
        return "stem"
    if module.startswith("trunk.blocks."):
        return "trunk" if any(f".{name}" in module for name in _SEQUENCE_TRACK) else "pair-modules"
    if module.startswith(("esm_s_", "embedding", "trunk.recycle_s_norm")):
        return "trunk"
    if module.startswith(("trunk.recycle_", "trunk.pairwise_positional_embedding")):
        return "pair-modules"
    return "structure"


def _full_precision_buffers(config: Any) -> None:
    """Else the stem's buffers are in half precision."""
    config.esmfold_config.fp16_esm = False


def _is_published_in_half(config: Mapping[str, Any]) -> bool:
    return bool((config.get("esmfold_config") or {}).get("fp16_esm"))


ESMFOLD = Architecture(
    kind="an ESMFold",
    container="EsmForProteinFolding",
    base="esm",
    stem="esm.encoder.layer",
    trunk="trunk.blocks",
    part_of=part_of,
    unread=("esm.contact_head.",),
    other_tasks=("esm.pooler.", "esm.embeddings.position_embeddings."),
    trained_frequencies=".rotary_embeddings.inv_freq",
    computed=("position_ids", "inv_freq", "af2_to_esm", "default_frames", "group_idx", "atom_mask", "lit_positions"),
    in_half=_is_published_in_half,
    configure=_full_precision_buffers,
)
