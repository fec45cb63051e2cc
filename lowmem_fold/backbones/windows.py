"""Long sequences in windows that overlap."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

__all__ = ["Window", "windows"]


@dataclass(frozen=True)
class Window:
    """A part of a sequence that is run by itself, and the part of that which is taken from it; from 0, ends excluded.

    Attributes
    ----------
    start, end : int
        Residues that the model sees.
    first, last : int
        Of these, in the sequence's numbering, those whose states are kept: from `first` to before `last`.
    """

    start: int
    end: int
    first: int
    last: int


def windows(length: int, size: int, overlap: int) -> list[Window]:
    """Cover a sequence with windows of one size, evenly spaced, as few as can be.

    Neighbours share `overlap` residues at least. The shared ones are taken from the window in whose inside they lie
    deeper, so that each residue but those at the ends of the sequence sees `overlap // 2` neighbours on either side.

    Parameters
    ----------
    length, size : int
        Residues of the sequence and of a window; `length` above `size`.
    overlap : int
        From 0 to `size` - 1.
    """
    count = 1 + -(-(length - size) // (size - overlap))
    starts = [round(index * (length - size) / (count - 1)) for index in range(count)]
    cuts = [0, *((after + before + size) // 2 for before, after in pairwise(starts)), length]
    return [Window(start, start + size, *kept) for start, kept in zip(starts, pairwise(cuts), strict=True)]
