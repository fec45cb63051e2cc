"""The families of language models, one file each; a checkpoint's is chosen from its config.json."""

from __future__ import annotations

from pathlib import Path

from .family import AMINO_ACIDS, MASK, Family

__all__ = ["AMINO_ACIDS", "MASK", "Family", "family_of"]


def family_of(folder: Path) -> Family:
    """The family of a checkpoint.

    Raises
    ------
    ModelError
        It is of none: says what config.json has, and which families there are.
    """
    raise NotImplementedError
