"""Small language models of random weights, one for each family, as folders in Hugging Face layout."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn

from lowmem_fold.backbones.families.esm2 import TOKENS

#: Of different lengths; with every letter that is a residue.
SEQUENCES = ["MKTAYIAKQRQISFVKSHFSRQ", "ACDEFGHIKLMNPQRSTVWYXUZOBJ", "GSHMLE"]
ESM = TOKENS
BERT = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"LAGVESIKRDTPNQFYMHCWXUBZO")
ANTIBODY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"ACDEFGHIKLMNPQRSTVWY")
T5_PIECES = ("<pad>", "</s>", "<unk>", *(f"\u2581{letter}" for letter in "ALGVSREDTIPKFQNYMHWCXBOUZ"))


def esm_config(**changes: Any) -> Any:
    values = {
        "vocab_size": 33,
        "mask_token_id": 32,
        "pad_token_id": 1,
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 40,
        "position_embedding_type": "rotary",
        "token_dropout": True,
        "emb_layer_norm_before": False,
        "initializer_range": 0.2,
    }
    return transformers.EsmConfig(**{**values, **changes})


def bert_config(vocabulary: int) -> Any:
    return transformers.BertConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=40,
        initializer_range=0.2,
    )


def t5_config(vocabulary: int, **changes: Any) -> Any:
    return transformers.T5Config(
        vocab_size=vocabulary,
        d_model=32,
        d_kv=16,
        d_ff=64,
        num_layers=3,
        num_heads=2,
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=0,
        **changes,
    )


def _esm2(folder: Path) -> nn.Module:
    lines(folder, ESM)
    return transformers.EsmForMaskedLM(esm_config())


def _esm2_alone(folder: Path) -> nn.Module:
    return transformers.EsmModel(esm_config(), add_pooling_layer=False)


def _esm1(folder: Path) -> nn.Module:
    lines(folder, ESM)
    return transformers.EsmForMaskedLM(esm_config(position_embedding_type="absolute", emb_layer_norm_before=True))


def _esmc(folder: Path) -> nn.Module:
    config = transformers.EsmcConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=2, initializer_range=0.2
    )
    return transformers.EsmcForMaskedLM(config)


def _prott5(folder: Path) -> nn.Module:
    pieces(folder, T5_PIECES)
    return transformers.T5EncoderModel(t5_config(128))


def _ankh(folder: Path) -> nn.Module:
    """With the decoder in its files."""
    pieces(folder, T5_PIECES)
    config = t5_config(144, feed_forward_proj="gated-gelu", tie_word_embeddings=False)
    return transformers.T5ForConditionalGeneration(config)


def _protbert(folder: Path) -> nn.Module:
    lines(folder, BERT)
    return transformers.BertForPreTraining(bert_config(30))


def _antiberty(folder: Path) -> nn.Module:
    return transformers.BertForMaskedLM(bert_config(25))


CASES: dict[str, Callable[[Path], nn.Module]] = {
    "esm2": _esm2,
    "esm2-alone": _esm2_alone,
    "esm1": _esm1,
    "esmc": _esmc,
    "prott5": _prott5,
    "ankh": _ankh,
    "protbert": _protbert,
    "antiberty": _antiberty,
}
if not hasattr(transformers, "EsmcConfig"):  # of older versions
    del CASES["esmc"]
NAMES = {
    "esm2": "ESM-2",
    "esm2-alone": "ESM-2",
    "esm1": "ESM-1b/1v",
    "esmc": "ESM-C",
    "prott5": "ProtT5",
    "ankh": "Ankh",
    "protbert": "ProtBert",
    "antiberty": "AntiBERTy",
}


def saved(case: str, folder: Path) -> Path:
    """The folder, which is new, with a model of a case."""
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    CASES[case](folder).save_pretrained(folder)
    return folder


def lines(folder: Path, tokens: tuple[str, ...]) -> None:
    (folder / "vocab.txt").write_text("\n".join(tokens))


def pieces(folder: Path, tokens: tuple[str, ...]) -> None:
    """As `tokenizers` writes a unigram model."""
    vocabulary = [[token, 0.0] for token in tokens]
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"type": "Unigram", "vocab": vocabulary}}))
