"""Ankh (Elnaggar et al. 2023), base and large: a T5 encoder as ProtT5, but with a vocabulary of 144 tokens of its own.

Stock's tokenizer wants a list of residues. Those of X U Z O B that its vocabulary has are read as they are, others as
X.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .family import Family
from .prott5 import ARCHITECTURE, t5_family

__all__ = ["ARCHITECTURE", "NAME", "of"]

NAME = "Ankh"
_VOCABULARY_SIZE = 144


def of(config: Mapping[str, Any], folder: Path) -> Family | None:
    """The family of a checkpoint, if it is this one."""
    if config.get("model_type") != "t5" or config.get("vocab_size") != _VOCABULARY_SIZE:
        return None
    return t5_family(NAME, folder)
