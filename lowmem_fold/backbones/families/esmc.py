"""ESM-C, 300M to 6B parameters (ESM Team 2024), as transformers has it (`biohub/ESMC-300M`).

Its vocabulary has X U Z O B; J is read as X. Positions are rotary: any length can be run.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...checkpoints.architecture import Architecture, language_model_part
from .esm2 import family_with_tokens
from .family import Family

__all__ = ["ARCHITECTURE", "NAME", "of"]

NAME = "ESM-C"
ARCHITECTURE = Architecture(
    kind="an ESM-C",
    container="EsmcForMaskedLM",
    base="esmc",
    stem="esmc.layers",
    part_of=language_model_part,
    parts=("stem",),
    head="lm_head",
    foreign=True,
)


def of(config: Mapping[str, Any], folder: Path) -> Family | None:
    """The family of a checkpoint, if it is this one."""
    if config.get("model_type") != "esmc":
        return None
    # The same ids as ESM-2's up to <mask>: `SEQUENCE_VOCAB` in transformers' tokenization_esmc.py.
    return family_with_tokens(NAME, ARCHITECTURE, folder)
