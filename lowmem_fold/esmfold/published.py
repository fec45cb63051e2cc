"""The dimensions of the published model, and records that are no protein, to plan and to measure with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import EsmConfig

    from .engine import FoldInput

__all__ = ["esmfold_v1_config", "folding_config", "random_record"]


def esmfold_v1_config(stem_layers: int = 36, trunk_blocks: int = 48) -> EsmConfig:
    """The configuration of `facebook/esmfold_v1`, in float32, cut to fewer layers if asked."""
    return folding_config(
        hidden_size=2560,
        num_hidden_layers=stem_layers,
        num_attention_heads=40,
        intermediate_size=10240,
        trunk={"num_blocks": trunk_blocks},
    )


def folding_config(*, trunk: dict[str, Any], **stem: Any) -> EsmConfig:
    """The configuration of an ESMFold of other dimensions, by the names of `EsmConfig`."""
    from transformers import EsmConfig
    from transformers.models.esm.configuration_esm import get_default_vocab_list

    return EsmConfig(
        vocab_size=33,
        mask_token_id=32,
        pad_token_id=1,
        position_embedding_type="rotary",
        token_dropout=True,
        emb_layer_norm_before=False,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        layer_norm_eps=1e-5,
        is_folding_model=True,
        vocab_list=list(get_default_vocab_list()),
        esmfold_config={"fp16_esm": False, "trunk": trunk},
        **stem,
    )


def random_record(length: int, seed: int = 0, device: str = "cpu") -> FoldInput:
    """Random residues, unknown ones among them, in one chain whose second half jumps in number."""
    import numpy as np
    import torch

    from .engine import FoldInput

    aatype = torch.randint(0, 21, (length,), generator=torch.Generator().manual_seed(seed))
    residue_index = torch.arange(length)
    residue_index[length // 2 :] += 512
    return FoldInput(aatype.to(device), residue_index.to(device), np.zeros(length, dtype=np.int64))
