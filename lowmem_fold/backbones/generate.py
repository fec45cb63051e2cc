"""New sequences from a masked language model: residues unmasked step by step, the surest positions first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from .chain import check_chain, check_length, masked_chain
from .families import AMINO_ACIDS, MASK
from .masked import check_masked_lm, masked_log_probabilities

if TYPE_CHECKING:
    from ..sequences.records import Record
    from .backbone import Backbone

__all__ = ["Generated", "check_sampling", "generate"]


@dataclass(frozen=True)
class Generated:
    """A sequence that was sampled.

    Attributes
    ----------
    sequence : str
        Of the 20 amino acids, and of what else the template has.
    log_probability : float
        Natural logarithm of the probability, at temperature 1 and among the 20 amino acids, of the residues that were
        sampled: the sum, each when its position was unmasked.
    """

    sequence: str
    log_probability: float


def generate(
    backbone: Backbone,
    template: str | Record,
    number: int = 1,
    *,
    temperature: float = 1.0,
    seed: int = 0,
    steps: int | None = None,
    allow_nucleotide_letters: bool = False,
) -> list[Generated]:
    """Sample residues for the masked positions of a template.

    In each step the model sees what is known so far. Of the positions that are still masked, those whose
    distributions have the least entropy are unmasked: each gets a residue sampled from its distribution over the 20
    amino acids, at the temperature. The positions of a step do not know of one another. (Mask-Predict, Ghazvininejad
    et al. 2019, and MaskGIT, Chang et al. 2022, choose by the probability of what was sampled; that favours common
    residues whatever the temperature is.)

    Parameters
    ----------
    backbone : Backbone
    template : str or Record
        One chain, ``*`` or ``<mask>`` where residues are to be sampled; the others stay. ``"*" * 100`` is all new.
    number : int
        Of sequences.
    temperature : float
        Above 1 more varied, below 1 less; 0: always the most probable residue, and so always the same sequence.
    seed : int
        0 or more. Sequence i of a seed is the same however many are asked for.
    steps : int, optional
        Runs of the model, over which the positions are spread evenly. None: one for each position, which costs most
        and is truest to the model.
    allow_nucleotide_letters : bool
        As of `embed`.

    Raises
    ------
    InputError
        The model has no head for masked residues, or a parameter is not what it should be.
    """
    check_masked_lm(backbone)
    sequence = masked_chain(template, "the template", allow_nucleotide_letters)
    check_chain(sequence, "the template", backbone.family)
    check_length(sequence, "the template", backbone.family, "ask for a shorter sequence")
    check_sampling(sequence, number, temperature, seed, steps)
    masked = sequence.count(MASK)
    samples = [_Sample(sequence, temperature, np.random.default_rng([seed, index])) for index in range(number)]
    for count in _counts(masked, steps or masked):
        _step(backbone, samples, count)
    return [Generated("".join(sample.letters), sample.log_probability) for sample in samples]


class _Sample:
    """A sequence on its way."""

    def __init__(self, template: str, temperature: float, random: np.random.Generator) -> None:
        self.letters = list(template)
        self.log_probability = 0.0
        self._temperature, self._random = temperature, random

    def unmask(self, found: np.ndarray, count: int) -> None:
        """Fill so many positions. found: log-probabilities (masked positions, 20)."""
        among_amino_acids = found - np.logaddexp.reduce(found, axis=1, keepdims=True)
        entropy = -(np.exp(among_amino_acids) * among_amino_acids).sum(1)
        places = [place for place, letter in enumerate(self.letters) if letter == MASK]
        for row in np.argsort(entropy, kind="stable")[:count]:
            choice = self._sampled(among_amino_acids[row])
            self.letters[places[row]] = AMINO_ACIDS[choice]
            self.log_probability += float(among_amino_acids[row, choice])

    def _sampled(self, log_probabilities: np.ndarray) -> int:
        if self._temperature == 0:
            return int(log_probabilities.argmax())
        # Gumbel's way: the largest of log p / T plus such noise is a sample of softmax(log p / T), without underflow.
        return int((log_probabilities / self._temperature + self._random.gumbel(size=len(AMINO_ACIDS))).argmax())


def _step(backbone: Backbone, samples: Sequence[_Sample], count: int) -> None:
    def receive(index: int, found: np.ndarray) -> None:
        samples[index].unmask(found, count)

    masked_log_probabilities(backbone, ["".join(sample.letters) for sample in samples], receive)


def _counts(masked: int, steps: int) -> list[int]:
    """Positions of each step."""
    ends = [round(masked * step / steps) for step in range(steps + 1)]
    return [end - start for start, end in pairwise(ends)]


def check_sampling(template: str, number: int, temperature: float, seed: int, steps: int | None) -> None:
    """InputError if a parameter of `generate` is not what it should be, whatever the model is."""
    masked = template.replace("<mask>", MASK).count(MASK)
    if not masked:
        raise InputError(f"the template has no masked residue: write {MASK} or <mask> where one is to be sampled")
    if number < 1:
        raise InputError(f"the number of sequences is 1 or more; it is {number}")
    if not (math.isfinite(temperature) and temperature >= 0):
        raise InputError(f"the temperature is 0 or more; it is {temperature}")
    if seed < 0:
        raise InputError(f"the seed is a whole number, 0 or more; it is {seed}")
    if steps is not None and not 1 <= steps <= masked:
        raise InputError(f"steps are 1 to {masked}, the masked residues; they are {steps}")
