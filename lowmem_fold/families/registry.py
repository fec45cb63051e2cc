"""Which families there are, and of which one a model is."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from ..errors import ModelError

if TYPE_CHECKING:
    from ..checkpoints.checkpoint import Checkpoint
    from .interface import FoldingFamily

__all__ = [
    "DEFAULT_MODEL",
    "FAMILIES",
    "families",
    "family_of",
    "find_folding_model",
    "folding_family",
    "published_family",
]

DEFAULT_MODEL = "facebook/esmfold_v1"
#: Rooms of the package with a `family.py`.
FAMILIES = ("esmfold",)


def families() -> list[FoldingFamily]:
    """Return all families."""
    return [_family(name) for name in FAMILIES]


@cache
def _family(name: str) -> FoldingFamily:
    package = __package__.rpartition(".")[0]
    found: FoldingFamily = import_module(f"{package}.{name}.family").FAMILY
    return found


def family_of(checkpoint: Checkpoint) -> FoldingFamily | None:
    """Return the family of a model that folds; None of any other, such as a language model.

    Raises
    ------
    ModelError
        The model is of a family, but not supported: says why.
    """
    config = checkpoint.config
    found = next((family for family in families() if family.recognises(config)), None)
    if found is not None and (reason := found.refusal(config)):
        raise ModelError(f"{checkpoint.path / 'config.json'}: {reason}")
    return found


def published_family(model: str) -> FoldingFamily | None:
    """Return the family of a hub id whose dimensions are known without its files; None of any other."""
    return next((family for family in families() if model in family.published), None)


def find_folding_model(model: str) -> tuple[Checkpoint, FoldingFamily]:
    """Find a model that folds, and its family.

    Raises
    ------
    ModelError
        As `find_checkpoint`; and where the model is of no family that folds, or not supported.
    """
    from ..checkpoints.checkpoint import find_checkpoint

    checkpoint = find_checkpoint(model)
    return checkpoint, folding_family(checkpoint)


def folding_family(checkpoint: Checkpoint) -> FoldingFamily:
    """Return the family of a model that folds. ModelError of any other, or if it is not supported."""
    family = family_of(checkpoint)
    if family is None:
        kinds = " or ".join(each.architecture.kind for each in families())
        kind = checkpoint.config.get("model_type")
        raise ModelError(
            f"{checkpoint.path / 'config.json'}: model_type {kind!r} is not {kinds}, which folding needs; lowmem-fold"
            " embed, fill and score take language models"
        )
    return family
