"""Masked residues, and what a language model would put there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..sequences.sequence_lists import Sequences, list_sequences
from .chain import check_chain, check_length, masked_chain
from .families import AMINO_ACIDS, MASK
from .masked import check_masked_lm, masked_log_probabilities

if TYPE_CHECKING:
    from .backbone import Backbone

__all__ = ["Filled", "Filling", "check_masked", "fill"]


@dataclass(frozen=True)
class Filling:
    """What a masked residue may be.

    Attributes
    ----------
    position : int
        From 1.
    residues : str
        Letters of the k most probable of the 20 amino acids, the best first.
    probabilities : tuple of float
        Theirs, among the 20 amino acids: all twenty sum up to 1.
    """

    position: int
    residues: str
    probabilities: tuple[float, ...]


@dataclass(frozen=True)
class Filled:
    """A sequence with masked residues, and what they may be. All are masked together: each is as probable as the model
    finds it while it knows none of the others.

    Attributes
    ----------
    sequence : str
        As given, ``*`` for masked residues.
    fillings : tuple of Filling
        In the order of the sequence.
    """

    sequence: str
    fillings: tuple[Filling, ...]

    @property
    def best(self) -> str:
        """The sequence with the most probable residue at each masked position."""
        letters = list(self.sequence)
        for filling in self.fillings:
            letters[filling.position - 1] = filling.residues[0]
        return "".join(letters)


def fill(
    backbone: Backbone,
    sequences: Sequences,
    k: int = 5,
    names: Sequence[str] | None = None,
    *,
    allow_nucleotide_letters: bool = False,
) -> list[Filled]:
    """The most probable amino acids at masked positions.

    Parameters
    ----------
    backbone : Backbone
    sequences : iterable or mapping of str or Record
        One chain each, ``*`` or ``<mask>`` where a residue is masked; as of `embed`.
    k : int
        How many residues a position, 1 to 20.
    names : sequence of str, optional
        What errors call the sequences.
    allow_nucleotide_letters : bool
        As of `embed`.

    Raises
    ------
    InputError
        The model has no head for masked residues, `k` is none, or a sequence is not what it should be.
    """
    check_masked_lm(backbone)
    if not 1 <= k <= len(AMINO_ACIDS):
        raise InputError(f"k, the residues to show at a position, is 1 to {len(AMINO_ACIDS)}; it is {k}")
    given = list_sequences(sequences)
    named = zip((each.sequence for each in given), names or [each.name for each in given], strict=True)
    masked = [_masked(masked_chain(*each, allow_nucleotide_letters), each[1], backbone) for each in named]
    filled: dict[int, Filled] = {}

    def receive(index: int, found: np.ndarray) -> None:
        filled[index] = Filled(masked[index], _fillings(masked[index], found, k))

    masked_log_probabilities(backbone, masked, receive)
    return [filled[index] for index in range(len(masked))]


def check_masked(sequence: str, name: str) -> None:
    """InputError if a chain, as `masked_chain` gives it, has no masked residue."""
    if MASK not in sequence:
        raise InputError(f"{name}: no residue is masked; write {MASK} or <mask> in its place")


def _masked(sequence: str, name: str, backbone: Backbone) -> str:
    check_masked(sequence, name)
    check_chain(sequence, name, backbone.family)
    check_length(sequence, name, backbone.family, "give the part around the masked residues")
    return sequence


def _fillings(sequence: str, found: np.ndarray, k: int) -> tuple[Filling, ...]:
    places = [place for place, letter in enumerate(sequence, start=1) if letter == MASK]
    return tuple(_filling(place, row, k) for place, row in zip(places, found, strict=True))


def _filling(position: int, log_probabilities: np.ndarray, k: int) -> Filling:
    """log_probabilities: (20,), of the whole vocabulary."""
    probabilities = np.exp(log_probabilities - np.logaddexp.reduce(log_probabilities))
    best = np.argsort(-probabilities, kind="stable")[:k]
    return Filling(position, "".join(AMINO_ACIDS[i] for i in best), tuple(float(probabilities[i]) for i in best))
