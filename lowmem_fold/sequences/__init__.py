"""What is folded: sequences and their chains, residues, records and ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .fasta import parse_sequence, read_fasta

__all__ = ["parse_sequence", "read_fasta"]


def __getattr__(name: str) -> Any:
    """Public names are imported when they are first used: ids and the like need no reader of files."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import fasta

    return getattr(fasta, name)
