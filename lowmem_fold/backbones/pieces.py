"""What is run of sequences: each whole, or, of a long one, windows, whose results are put together again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .windows import Window, windows

if TYPE_CHECKING:
    from .vectors import Embedding

__all__ = ["Gathered", "Piece", "cut"]


@dataclass(frozen=True)
class Piece:
    """A row of a batch.

    Attributes
    ----------
    index : int
        Which sequence it is of.
    text : str
        The residues that are run.
    window : Window, optional
        Where they are in the sequence, and which of them count; None where they are all of it.
    """

    index: int
    text: str
    window: Window | None = None


def cut(index: int, sequence: str, size: int | None, overlap: int | None) -> list[Piece]:
    """The pieces of a sequence, in its order: one, unless it is longer than `size`. overlap: by default a quarter."""
    if size is None or len(sequence) <= size:
        return [Piece(index, sequence)]
    found = windows(len(sequence), size, size // 4 if overlap is None else overlap)
    return [Piece(index, sequence[window.start : window.end], window) for window in found]


class Gathered:
    """Results of pieces, until all of a sequence are there."""

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self._found: dict[int, dict[Piece, Embedding | None]] = {}
        for piece in pieces:
            self._found.setdefault(piece.index, {})[piece] = None

    def add(self, piece: Piece, found: Embedding) -> None:
        """Keep the result of a piece; nothing, if its sequence was dropped."""
        if piece in self:
            self._found[piece.index][piece] = found

    def __contains__(self, piece: object) -> bool:
        """Whether the results of its sequence are still wanted."""
        return isinstance(piece, Piece) and piece.index in self._found

    def parts(self, index: int) -> list[Embedding] | None:
        """The results of a sequence's pieces, in its order; None while one is missing."""
        found = [part for part in self._found[index].values() if part is not None]
        return found if len(found) == len(self._found[index]) else None

    def drop(self, index: int) -> None:
        """Let go of a sequence's results: all of it is delivered, or a piece cannot be run."""
        self._found.pop(index, None)
