"""The demo model's shape, and its start: an ESM-2 stem read from a folder and a freshly initialised trunk."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn
from transformers import EsmConfig, EsmForProteinFolding, EsmModel
from transformers.models.esm.configuration_esm import get_default_vocab_list
from transformers.models.esm.modeling_esmfold import EsmFoldLinear

from lowmem_fold.errors import ModelError

__all__ = ["Shape", "build", "fresh_model", "initialise", "load_stem", "model_config"]

STEM = {
    "vocab_size": 33,
    "mask_token_id": 32,
    "pad_token_id": 1,
    "hidden_size": 320,
    "num_hidden_layers": 6,
    "num_attention_heads": 20,
    "intermediate_size": 1280,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "max_position_embeddings": 1026,
    "layer_norm_eps": 1e-5,
    "position_embedding_type": "rotary",
    "emb_layer_norm_before": False,
    "token_dropout": True,
    "initializer_range": 0.02,
}
"""ESM-2 8M (`facebook/esm2_t6_8M_UR50D`) in the words of `EsmConfig`."""


@dataclass(frozen=True)
class Shape:
    """Widths and depths of the folding trunk; the names follow `EsmFoldConfig`."""

    num_blocks: int = 4
    sequence_state_dim: int = 128
    pairwise_state_dim: int = 64
    sequence_head_width: int = 32
    pairwise_head_width: int = 32
    structure_sequence_dim: int = 128
    structure_pairwise_dim: int = 64
    structure_blocks: int = 4
    structure_heads: int = 8
    ipa_dim: int = 16
    qk_points: int = 4
    v_points: int = 8
    resnet_dim: int = 64
    lddt_head_hid_dim: int = 64
    max_recycles: int = 4

    def trunk(self) -> dict:
        """The `trunk` part of the configuration."""
        structure = {
            "sequence_dim": self.structure_sequence_dim,
            "pairwise_dim": self.structure_pairwise_dim,
            "ipa_dim": self.ipa_dim,
            "resnet_dim": self.resnet_dim,
            "num_heads_ipa": self.structure_heads,
            "num_qk_points": self.qk_points,
            "num_v_points": self.v_points,
            "num_blocks": self.structure_blocks,
        }
        names = ("num_blocks", "sequence_state_dim", "pairwise_state_dim", "sequence_head_width", "pairwise_head_width")
        own = {name: value for name, value in asdict(self).items() if name in names}
        return {**own, "max_recycles": self.max_recycles, "chunk_size": None, "structure_module": structure}


def model_config(shape: Shape, stem: dict | None = None) -> EsmConfig:
    """The stock configuration of a folding model of this shape; `stem` overrides entries of the ESM-2 8M stem."""
    fold = {"fp16_esm": True, "lddt_head_hid_dim": shape.lddt_head_hid_dim, "trunk": shape.trunk()}
    vocabulary = list(get_default_vocab_list())
    return EsmConfig(**{**STEM, **(stem or {})}, is_folding_model=True, vocab_list=vocabulary, esmfold_config=fold)


def fresh_model(config: EsmConfig) -> EsmForProteinFolding:
    """A folding model with random weights, its trunk initialised as AlphaFold's."""
    model = EsmForProteinFolding(config)
    initialise(model)
    return model


def build(shape: Shape, stem_folder: str | Path) -> EsmForProteinFolding:
    """A model ready for training: pretrained stem (frozen, rounded to half precision but in float32), fresh trunk."""
    model = fresh_model(model_config(shape))
    load_stem(model, stem_folder)
    return model


def load_stem(model: EsmForProteinFolding, folder: str | Path) -> None:
    """Fill the stem from an ESM-2 folder in the Hugging Face layout and freeze it.

    The weights are rounded to half precision, as they will be stored, and kept in float32.

    Raises
    ------
    ModelError
        The folder holds no ESM-2 of the right widths.
    """
    try:
        stem = EsmModel.from_pretrained(folder, add_pooling_layer=False)
        model.esm.load_state_dict({name: value.half().float() for name, value in stem.state_dict().items()})
    except (OSError, RuntimeError, ValueError) as error:
        raise ModelError(f"{folder}: no ESM-2 of these widths could be read there ({error})") from error
    freeze_stem(model)


def freeze_stem(model: EsmForProteinFolding) -> None:
    """Keep the stem in float32, out of training."""
    model.esm.float().eval()
    model.esm.requires_grad_(False)


@torch.no_grad()
def initialise(model: EsmForProteinFolding) -> None:
    """AlphaFold's initialisation of the trunk and the heads.

    The stock model class draws every linear layer from one normal distribution and so loses the meaning of "gating" and
    "final" layers, which the layers themselves still name (Jumper et al. 2021, supplement 1.11.4).
    """
    for module in (module for name, module in model.named_modules() if not name.startswith("esm.")):
        if isinstance(module, EsmFoldLinear):
            _initialise_linear(module)
        elif isinstance(module, (nn.Linear, nn.Embedding, nn.LayerNorm)):
            module.reset_parameters()
    for block in model.trunk.blocks:
        _silence_block(block)
    model.trunk.structure_module.ipa.head_weights.fill_(0.541324854612918)  # softplus of it is 1
    model.trunk.recycle_disto.weight[0] = 0.0
    model.esm_s_combine.zero_()


def _initialise_linear(layer: EsmFoldLinear) -> None:
    fan_in = layer.weight.shape[1]
    if layer.init in ("default", "normal", "relu"):
        layer.weight.normal_(std=((2.0 if layer.init == "relu" else 1.0) / fan_in) ** 0.5)
    elif layer.init == "glorot":
        nn.init.xavier_uniform_(layer.weight)
    else:
        layer.weight.zero_()
    if layer.bias is not None:
        layer.bias.fill_(1.0 if layer.init == "gating" else 0.0)


def _silence_block(block: nn.Module) -> None:
    """Zero what each block adds to the residual streams, and open its gate: a fresh block is the identity."""
    nn.init.zeros_(block.seq_attention.g_proj.weight)
    nn.init.ones_(block.seq_attention.g_proj.bias)
    for layer in (
        block.seq_attention.o_proj,
        block.mlp_seq.mlp[-2],
        block.mlp_pair.mlp[-2],
        block.sequence_to_pair.o_proj,
        block.pair_to_sequence.linear,
    ):
        nn.init.zeros_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
