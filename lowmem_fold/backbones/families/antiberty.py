"""AntiBERTy (Ruffolo et al. 2021), a BERT of antibodies: one chain, heavy or light, of up to 510 residues.

It knows the 20 amino acids alone: X U Z O B J are its unknown token. In its package `vocab.txt` lies beside the folder
of the weights, not in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .family import AMINO_ACIDS, Family
from .protbert import ARCHITECTURE, bert_family
from .vocabulary import read_vocabulary

__all__ = ["ARCHITECTURE", "NAME", "of"]

NAME = "AntiBERTy"
#: In the order of their ids: `antiberty/trained_models/vocab.txt` of antiberty 0.1.3.
_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *AMINO_ACIDS)


def of(config: Mapping[str, Any], folder: Path) -> Family | None:
    """The family of a checkpoint, if it is this one."""
    if config.get("model_type") != "bert" or config.get("vocab_size") != len(_TOKENS):
        return None
    tokens = read_vocabulary(folder) or {token: number for number, token in enumerate(_TOKENS)}
    return bert_family(NAME, config, tokens, unknown="[UNK]")
