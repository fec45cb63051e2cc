"""ESM-1b and ESM-1v (Rives et al. 2021; Meier et al. 2021): ESM-2's tokens, but learned positions, for 1,022
residues."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import esm2
from .family import Family

__all__ = ["ARCHITECTURE", "NAME", "of"]

NAME = "ESM-1b/1v"
_SPECIAL = 2
# Unlike ESM-2's, its positions are weights.
ARCHITECTURE = replace(esm2.ARCHITECTURE, other_tasks=("esm.contact_head.", "esm.pooler."))


def of(config: Mapping[str, Any], folder: Path) -> Family | None:
    """The family of a checkpoint, if it is this one."""
    if config.get("position_embedding_type", "absolute") != "absolute":
        return None
    found = esm2.esm_family(NAME, config, folder)
    if found is None:
        return None
    positions = config["max_position_embeddings"] - (config["pad_token_id"] + 1)  # those before are padding's
    return replace(found, architecture=ARCHITECTURE, max_residues=positions - _SPECIAL)
