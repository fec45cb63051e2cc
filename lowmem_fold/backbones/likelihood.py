"""How well a language model expects a sequence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from .families import AMINO_ACIDS
from .queries import Answer, Query

__all__ = ["Likelihood", "LikelihoodTask"]


@dataclass(frozen=True)
class Likelihood:
    """How well a model expects a sequence.

    Attributes
    ----------
    length : int
        Residues.
    scored : int
        Those that are one of the 20 amino acids. Others are seen, but neither masked nor counted.
    log_likelihood : float
        Pseudo-log-likelihood (Salazar et al. 2020, eq. 2): the sum over scored residues of the natural logarithm of
        each one's probability where it alone is masked, among all tokens of the model.
    """

    length: int
    scored: int
    log_likelihood: float

    @property
    def pseudo_perplexity(self) -> float:
        """exp(-log_likelihood / scored), as in Lin et al. 2022: 1 for a sequence that is certain; that of a model which
        guesses among the amino acids is 20."""
        return math.exp(-self.log_likelihood / self.scored)


@dataclass(frozen=True)
class LikelihoodTask:
    """To find the likelihood of one sequence, of 20-letter amino acids in part at least."""

    sequence: str
    columns: ClassVar[tuple[str, ...]] = ("length", "scored", "log_likelihood", "pseudo_perplexity")

    @cached_property
    def queries(self) -> list[Query]:
        """What the model is asked: one amino acid masked at a time."""
        return [
            Query(self.sequence, ((position, letter),))
            for position, letter in enumerate(self.sequence, start=1)
            if letter in AMINO_ACIDS
        ]

    def result(self, answers: Mapping[Query, Answer]) -> Likelihood:
        """From the answers to all queries."""
        found = [value for query in self.queries for value in answers[query].values()]
        return Likelihood(len(self.sequence), len(found), math.fsum(found))

    def rows(self, result: Likelihood) -> list[tuple[str, ...]]:
        """Lines of a table with `columns`."""
        numbers = f"{result.log_likelihood:.6f}", f"{result.pseudo_perplexity:.6f}"
        return [(str(result.length), str(result.scored), *numbers)]
