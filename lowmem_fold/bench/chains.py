"""The chain that a configuration of a length folds: a real one, and what an experiment saw of it where there is one."""

from __future__ import annotations

from functools import cache
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..predictions.structures import Structure

__all__ = ["CHAINS", "KNOWN_LENGTHS", "chain_of", "known_chains"]

#: Written by `python -m benchmarks.chains`; `data/README.md` says what is in it.
CHAINS = Path(__file__).parent / "data" / "chains.npz"

#: Residues of the chains whose structure is known.
KNOWN_LENGTHS = (79, 128, 173, 257)


@cache
def known_chains() -> tuple[Structure, ...]:
    """Those that come with the package, the shortest first: `data/README.md` tells of them."""
    from ..predictions.structures import read_structures

    return tuple(read_structures(CHAINS))


def chain_of(length: int) -> tuple[str, Structure | None]:
    """A sequence of so many residues, and its structure if it is known.

    Where no known chain is as long, it is the beginning of all of them in a row, the longest first, over and over: real
    sequence, but no protein.
    """
    for structure in known_chains():
        if structure.length == length:
            return structure.sequence, structure
    row = cycle("".join(structure.sequence for structure in reversed(known_chains())))
    return "".join(islice(row, length)), None
