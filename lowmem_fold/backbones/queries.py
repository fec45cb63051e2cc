"""Which residues are masked together, and of which letters the probability is wanted there."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import InputError
from .families import MASK

__all__ = ["LONG_SCORED", "Answer", "Query"]

#: What is done with a sequence that is longer than the model has positions for: refused, or seen in part.
LONG_SCORED = ("refuse", "windows")

#: Log-probabilities of letters at positions, as a query wants them.
Answer = Mapping[tuple[int, str], float]


@dataclass(frozen=True)
class Query:
    """One run of the model over a sequence.

    Attributes
    ----------
    sequence : str
    wanted : tuple of (int, str)
        Positions that are masked together, from 1, in order, each with the letters whose probability is wanted there.
    """

    sequence: str
    wanted: tuple[tuple[int, str], ...]

    @property
    def key(self) -> str:
        """Names the query in a file: sequences by their digest."""
        digest = hashlib.sha256(self.sequence.encode()).hexdigest()[:20]
        return " ".join([digest, *(f"{position}{letters}" for position, letters in self.wanted)])

    @property
    def letters(self) -> list[tuple[int, str]]:
        """Each position with each of its letters: what an answer holds."""
        return [(position, letter) for position, letters in self.wanted for letter in letters]

    def check(self, name: str, size: int | None) -> None:
        """InputError if the masked residues are too far apart for a model that sees `size` at once."""
        (first, _), (last, _) = self.wanted[0], self.wanted[-1]
        if size is not None and last - first >= size:
            raise InputError(
                f"{name}: positions {first} and {last} are masked together, and the model sees {size} residues at once"
            )

    def masked(self, size: int | None) -> str:
        """What the model sees: the sequence, or where it is longer than `size` so much of it around the masked
        residues, evenly on both sides as far as there is sequence (`get_optimal_window` of Notin et al. 2022).
        """
        places = [position - 1 for position, _ in self.wanted]
        letters = list(self.sequence)
        for place in places:
            letters[place] = MASK
        if size is None or len(letters) <= size:
            return "".join(letters)
        start = min(max((places[0] + places[-1] + 1 - size) // 2, 0), len(letters) - size)
        return "".join(letters[start : start + size])
