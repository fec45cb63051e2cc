"""Small models of random weights, to compare and to measure with.

Memory and time do not depend on the values of the weights, and two implementations that agree on random ones agree on
the published ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..esmfold.published import folding_config

if TYPE_CHECKING:
    from transformers import EsmConfig, EsmForProteinFolding

__all__ = ["random_model", "small_config"]


def small_config() -> EsmConfig:
    """Two blocks of odd widths: heads, points and channels all differ, so that none can be taken for another."""
    structure = {"sequence_dim": 48, "pairwise_dim": 40, "ipa_dim": 8, "resnet_dim": 24, "num_heads_ipa": 3}
    return folding_config(
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
