"""ESMFold2 as a family, as far as recognising, listing and loading go: the proof that these ask the interface alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lowmem_fold.checkpoints.architecture import Architecture

__all__ = ["ESMFOLD2", "FAMILY"]

_PAIR = ("folding_trunk.", "lm_encoder.", "msa_encoder.", "parcae.", "confidence_head.folding_trunk.")


def _part_of(module: str) -> str:
    if module.startswith("esmc."):
        return "stem"
    return "pair-modules" if module.startswith(_PAIR) else "structure"


ESMFOLD2 = Architecture(
    kind="an ESMFold2",
    container="EsmFold2Model",
    base="esmc",
    stem="esmc.layers",
    part_of=_part_of,
    trunk="folding_trunk.layers",
    trained_buffers=(
        "confidence_head.boundaries",
        "structure_head.conditioning.fourier.frequencies",
        "structure_head.conditioning.fourier.phases",
    ),
)


class ESMFold2:
    """Of the interface, what this is about."""

    name = "esmfold2"
    architecture = ESMFOLD2
    published: tuple[str, ...] = ()

    def recognises(self, config: Mapping[str, Any]) -> bool:
        return config.get("model_type") == "esmfold2"

    def refusal(self, config: Mapping[str, Any]) -> str | None:
        return None


FAMILY = ESMFold2()
