"""ESM-2, 8M to 15B parameters (Lin et al. 2023); also the stem of an ESMFold, of which nothing else is loaded.

Its vocabulary has X U Z O B, with which it was trained; J is read as X. Positions are rotary: any length can be run,
though training saw 1,022 residues at most. Where residues are masked, the embedding of the others is scaled by the
share that is not (`token_dropout`), as in training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...checkpoints.architecture import Architecture, language_model_part
from .family import Family
from .vocabulary import read_vocabulary, residue_tokens

__all__ = ["ARCHITECTURE", "NAME", "TOKENS", "esm_family", "family_with_tokens", "of"]

NAME = "ESM-2"
#: In the order of their ids; the same in every checkpoint (fair-esm, `Alphabet.from_architecture("ESM-1b")`).
TOKENS = (
    *("<cls>", "<pad>", "<eos>", "<unk>"),
    *"LAGVSERTIDPKQNFYMHWCXBUZO.-",
    *("<null_1>", "<mask>"),
)


def _without_folding(config: Any) -> None:
    """Of a stem by itself."""
    config.esmfold_config = None


ARCHITECTURE = Architecture(
    kind="an ESM language model",
    container="EsmForMaskedLM",
    base="esm",
    stem="esm.encoder.layer",
    part_of=language_model_part,
    parts=("stem",),
    head="lm_head",
    dropped=("esm.contact_head",),
    other_tasks=("esm.contact_head.", "esm.pooler.", "esm.embeddings.position_embeddings."),
    foreign=True,
    same=(("lm_head.decoder.weight", "esm.embeddings.word_embeddings.weight"),),
    trained_frequencies=".rotary_embeddings.inv_freq",
    configure=_without_folding,
)

_STEM = replace(
    ARCHITECTURE, kind="an ESMFold's stem", head=None, dropped=("esm.contact_head", "lm_head")
)  # an ESMFold has a head of the same name, of which it makes no use, and of another shape


def of(config: Mapping[str, Any], folder: Path) -> Family | None:
    """The family of a checkpoint, if it is this one."""
    if config.get("position_embedding_type") != "rotary":
        return None
    found = esm_family(NAME, config, folder)
    if found is None or not config.get("is_folding_model"):
        return found
    return replace(found, architecture=_STEM, within_folding_model=True)


def esm_family(name: str, config: Mapping[str, Any], folder: Path, max_residues: int | None = None) -> Family | None:
    """That of a checkpoint that transformers calls an esm; None of any other, and of those of nucleotides."""
    if config.get("model_type") != "esm" or config.get("vocab_size") != len(TOKENS):
        return None
    return family_with_tokens(name, ARCHITECTURE, folder, max_residues)


def family_with_tokens(name: str, architecture: Architecture, folder: Path, max_residues: int | None = None) -> Family:
    """One of ESM-2's tokens, by the vocabulary of the folder if there is one."""
    tokens = read_vocabulary(folder) or {token: number for number, token in enumerate(TOKENS)}
    return Family(
        name,
        architecture,
        residue_tokens(tokens, unknown="X"),
        prefix=(tokens["<cls>"],),
        suffix=(tokens["<eos>"],),
        pad_id=tokens["<pad>"],
        mask_id=tokens["<mask>"],
        max_residues=max_residues,
    )
