"""Small masked language models of random weights, and what stock transformers makes of them.

Tokens are put together here by hand, from the vocabularies as they were published.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    EsmcConfig,
    EsmcForMaskedLM,
    EsmConfig,
    EsmForMaskedLM,
    T5Config,
    T5EncoderModel,
)

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
ESM = ["<cls>", "<pad>", "<eos>", "<unk>", *"LAGVSERTIDPKQNFYMHWCXBUZO.-", "<null_1>", "<mask>"]
PROTBERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"LAGVESIKRDTPNQFYMHCWXUBZO"]
ANTIBERTY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *AMINO_ACIDS]
PROTT5 = ["<pad>", "</s>", "<unk>", *"ALGVSREDTIPKFQNYMHWCXBOUZ"]
#: Residues that the small ESM-1b has positions for.
SHORT = 12

_ESM = {
    "vocab_size": 33,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "pad_token_id": 1,
    "mask_token_id": 32,
    "token_dropout": True,
    "initializer_range": 0.5,
}
_BERT = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
    "initializer_range": 0.5,
}
_ESMC = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "initializer_range": 0.5,
}
_T5 = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}


@dataclass(frozen=True)
class Stock:
    """A stock model, and its tokens."""

    folder: Path
    model: torch.nn.Module
    tokens: Mapping[str, int]

    def log_probabilities(self, sequence: str) -> np.ndarray:
        """(masked positions, 20): of `*` in a sequence that is run by itself, over the whole vocabulary."""
        if self.tokens.keys() >= {"[CLS]", "X"}:  # as its authors say: re.sub(r"[UZOB]", "X", sequence)
            sequence = re.sub("[UZOB]", "X", sequence)
        start, end, mask = (t if t in self.tokens else f for t, f in _BERT_NAMES)
        words = [start, *(mask if letter == "*" else letter for letter in sequence), end]
        with torch.no_grad():
            logits = self.model(torch.tensor([[self.tokens[word] for word in words]])).logits[0, 1:-1]
        found = logits.double().log_softmax(-1)[:, [self.tokens[letter] for letter in AMINO_ACIDS]]
        return found[[place for place, letter in enumerate(sequence) if letter == "*"]].numpy()


_BERT_NAMES = (("<cls>", "[CLS]"), ("<eos>", "[SEP]"), ("<mask>", "[MASK]"))


def save_stock(folder: Path, family: str) -> Stock:
    """A model of a family, in a folder."""
    torch.manual_seed(7)
    model, vocabulary = _made(family)
    model.eval().save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    return Stock(folder, model, {token: number for number, token in enumerate(vocabulary)})


def _made(family: str) -> tuple[torch.nn.Module, Sequence[str]]:
    if family == "esm2":
        return EsmForMaskedLM(EsmConfig(**_ESM, position_embedding_type="rotary")), ESM
    if family == "esm1":
        positions = SHORT + 4  # two special tokens, and two positions that padding has
        config = EsmConfig(**_ESM, position_embedding_type="absolute", max_position_embeddings=positions)
        return EsmForMaskedLM(config), ESM
    if family == "esmc":
        return EsmcForMaskedLM(EsmcConfig(**_ESMC)), ESM
    if family == "protbert":
        return BertForMaskedLM(BertConfig(vocab_size=len(PROTBERT), **_BERT)), PROTBERT
    if family == "antiberty":
        return BertForMaskedLM(BertConfig(vocab_size=len(ANTIBERTY), **_BERT)), ANTIBERTY
    assert family == "prott5"
    return T5EncoderModel(T5Config(vocab_size=128, **_T5)), PROTT5
