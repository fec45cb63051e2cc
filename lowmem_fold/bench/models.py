"""Models of random weights: ESMFold v1 in its real dimensions, or smaller, to compare and to measure with.

Memory and time do not depend on the values of the weights, and two implementations that agree on random ones agree on
the published ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import EsmConfig, EsmForProteinFolding

    from ..esmfold.engine import FoldInput

__all__ = ["esmfold_v1_config", "random_model", "random_record", "small_config"]


def esmfold_v1_config(stem_layers: int = 36, trunk_blocks: int = 48) -> EsmConfig:
    """The configuration of `facebook/esmfold_v1`, in float32, cut to fewer layers if asked."""
    return _config(
        hidden_size=2560,
        num_hidden_layers=stem_layers,
        num_attention_heads=40,
        intermediate_size=10240,
        trunk={"num_blocks": trunk_blocks},
    )


def small_config() -> EsmConfig:
    """Two blocks of odd widths: heads, points and channels all differ, so that none can be taken for another."""
    structure = {"sequence_dim": 48, "pairwise_dim": 40, "ipa_dim": 8, "resnet_dim": 24, "num_heads_ipa": 3}
    return _config(
        hidden_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=96,
        trunk={
            "num_blocks": 2,
            "sequence_state_dim": 96,
            "chunk_size": 16,  # of stock; ours does not read it
            "pairwise_state_dim": 32,
            "sequence_head_width": 16,
            "pairwise_head_width": 8,
            "structure_module": {**structure, "num_qk_points": 2, "num_v_points": 5, "num_blocks": 3},
        },
    )


def _config(*, trunk: dict[str, Any], **stem: Any) -> EsmConfig:
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


def random_model(config: EsmConfig, seed: int = 0) -> EsmForProteinFolding:
    """A model in which every layer does something: a fresh one has zeros in its final layers, and hides what they do.

    Matrices are normal, scaled by the root of their width; norms and biases vary by a tenth. What they fold is no
    protein.
    """
    import torch
    from transformers import EsmForProteinFolding

    model = EsmForProteinFolding(config).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if parameter.ndim > 1:
            parameter.copy_(noise * parameter.shape[-1] ** -0.5)
        else:
            parameter.add_(0.1 * noise)
    return model


def random_record(length: int, seed: int = 0, device: str = "cpu") -> FoldInput:
    """Random residues, unknown ones among them, in one chain whose second half jumps in number."""
    import numpy as np
    import torch

    from ..esmfold.engine import FoldInput

    aatype = torch.randint(0, 21, (length,), generator=torch.Generator().manual_seed(seed))
    residue_index = torch.arange(length)
    residue_index[length // 2 :] += 512
    return FoldInput(aatype.to(device), residue_index.to(device), np.zeros(length, dtype=np.int64))
