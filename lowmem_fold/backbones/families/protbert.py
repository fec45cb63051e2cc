"""ProtBert, of UniRef and of BFD (Elnaggar et al. 2021).

Stock's tokenizer wants residues separated by spaces, and U Z O B to be X already; J is read as X too. Its positions are
learned, for 39,998 residues.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...checkpoints.architecture import Architecture, language_model_part
from ...errors import ModelError
from .family import Family
from .vocabulary import read_vocabulary, residue_tokens

__all__ = ["ARCHITECTURE", "NAME", "bert_family", "of"]

NAME = "ProtBert"
_VOCABULARY_SIZE = 30
_SPECIAL = 2
ARCHITECTURE = Architecture(
    kind="a BERT",
    container="BertForMaskedLM",
    base="bert",
    stem="bert.encoder.layer",
    part_of=language_model_part,
    parts=("stem",),
    head="cls.predictions",
    other_tasks=("bert.pooler.",),
    foreign=True,
    same=(
        ("cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"),
        ("cls.predictions.decoder.bias", "cls.predictions.bias"),
    ),
)


def of(config: Mapping[str, Any], folder: Path) -> Family | None:
    """The family of a checkpoint, if it is this one."""
    if config.get("model_type") != "bert" or config.get("vocab_size") != _VOCABULARY_SIZE:
        return None
    tokens = read_vocabulary(folder)
    if tokens is None:
        raise ModelError(f"{folder} holds neither vocab.txt nor tokenizer.json, and {NAME} cannot be read without")
    return bert_family(NAME, config, tokens, "X", unused="UZOB")


def bert_family(
    name: str, config: Mapping[str, Any], tokens: Mapping[str, int], unknown: str, unused: str = ""
) -> Family:
    """Of a BERT over residues; `unknown` is the token of letters that it does not know, and of those that are
    `unused`."""
    return Family(
        name,
        ARCHITECTURE,
        residue_tokens(tokens, unknown, unused),
        prefix=(tokens["[CLS]"],),
        suffix=(tokens["[SEP]"],),
        pad_id=tokens["[PAD]"],
        mask_id=tokens["[MASK]"],
        max_residues=config["max_position_embeddings"] - _SPECIAL,
    )
