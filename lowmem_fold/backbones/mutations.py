"""Point mutations as they are written: ``A123V``, several of one variant as ``A12V:G40D``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from ..errors import InputError
from .families import AMINO_ACIDS

__all__ = ["ALL_MUTATIONS", "Mutation", "every_mutation", "parse_variant"]

#: Instead of a list: each amino acid of a sequence replaced by each of the 19 others, one at a time.
ALL_MUTATIONS = "all"


_MUTATION = re.compile(r"([A-Za-z])([0-9]{1,18})([A-Za-z])")


@dataclass(frozen=True)
class Mutation:
    """One residue in place of another.

    Attributes
    ----------
    wild_type, mutant : str
        Letters of amino acids.
    position : int
        From 1.
    """

    wild_type: str
    position: int
    mutant: str

    def __str__(self) -> str:
        return f"{self.wild_type}{self.position}{self.mutant}"


def parse_variant(text: str, sequence: str, name: str) -> tuple[Mutation, ...]:
    """The mutations of a variant, checked against the sequence, in its order.

    Parameters
    ----------
    text : str
        ``A123V``; several with ``:`` between them. Positions count from 1.
    sequence : str
        The wild type.
    name : str
        What errors call it.

    Raises
    ------
    InputError
        A mutation is written wrongly, is outside the sequence, is not of its residue, or is beside another at the same
        position: names it.
    """
    mutations = sorted((_mutation(part.strip(), sequence, name) for part in text.split(":")), key=lambda m: m.position)
    for one, other in pairwise(mutations):
        if one.position == other.position:
            raise InputError(f"{name}: {text}: two mutations at position {one.position}; score each by itself")
    return tuple(mutations)


def every_mutation(sequence: str) -> list[Mutation]:
    """Each amino acid of a sequence replaced by each of the 19 others."""
    return [
        Mutation(letter, position, mutant)
        for position, letter in enumerate(sequence, start=1)
        if letter in AMINO_ACIDS
        for mutant in AMINO_ACIDS
        if mutant != letter
    ]


def _mutation(text: str, sequence: str, name: str) -> Mutation:
    found = _MUTATION.fullmatch(text)
    if not found:
        raise InputError(
            f"{name}: {text[:40]!r} is not a mutation. Write A123V for a V in place of the A at position 123, counted "
            "from 1; several of one variant with ':' between them"
        )
    mutation = Mutation(found[1].upper(), int(found[2]), found[3].upper())
    for letter in (mutation.wild_type, mutation.mutant):
        if letter not in AMINO_ACIDS:
            raise InputError(f"{name}: {text}: {letter!r} is not one of the 20 amino acids, which alone are scored")
    _check_wild_type(mutation, sequence, name)
    return mutation


def _check_wild_type(mutation: Mutation, sequence: str, name: str) -> None:
    if not 1 <= mutation.position <= len(sequence):
        raise InputError(f"{name}: {mutation}: there is no position {mutation.position}, it has {len(sequence)}")
    letter = sequence[mutation.position - 1]
    if letter != mutation.wild_type:
        raise InputError(
            f"{name}: {mutation}: position {mutation.position} is {letter}, not {mutation.wild_type}. Positions count "
            "from 1 in the sequence as it is given: check the numbering, or that this is the wild type"
        )
