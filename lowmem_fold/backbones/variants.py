"""What a language model makes of mutations."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from ..errors import InputError
from .mutations import ALL_MUTATIONS, Mutation, every_mutation, parse_variant
from .queries import Answer, Query

__all__ = ["VariantScore", "VariantsTask"]


@dataclass(frozen=True)
class VariantScore:
    """What a model makes of a variant.

    Attributes
    ----------
    variant : str
        As it was asked for.
    score : float
        The masked-marginal score (Meier et al. 2021): the sum over the mutated positions, which are masked together,
        of log p(mutant) - log p(wild type), natural logarithms. Above 0 the mutant is expected rather.
    """

    variant: str
    score: float


@dataclass(frozen=True)
class VariantsTask:
    """To score variants of one sequence.

    Attributes
    ----------
    sequence : str
        The wild type.
    variants : tuple of tuple of Mutation
        Each in the order of the sequence.
    names : tuple of str
        As they were asked for.
    """

    sequence: str
    variants: tuple[tuple[Mutation, ...], ...]
    names: tuple[str, ...]
    columns: ClassVar[tuple[str, ...]] = ("mutation", "score")

    @classmethod
    def of(cls, sequence: str, texts: str | Iterable[str], name: str) -> VariantsTask:
        """Of variants such as ``A12V:G40D``, or `ALL_MUTATIONS`. InputError as of `parse_variant`."""
        if texts == ALL_MUTATIONS:
            every = every_mutation(sequence)
            return cls(sequence, tuple((mutation,) for mutation in every), tuple(map(str, every)))
        names = tuple(texts)
        if not names:
            raise InputError(f"{name}: no mutations are given")
        return cls(sequence, tuple(parse_variant(text, sequence, name) for text in names), names)

    @property
    def queries(self) -> list[Query]:
        """What the model is asked: one query for all variants that are mutated at the same positions."""
        return list(self._by_positions.values())

    def result(self, answers: Mapping[Query, Answer]) -> list[VariantScore]:
        """From the answers to all queries, in the order of `variants`."""
        return [
            VariantScore(name, _score(variant, answers[self._by_positions[_positions(variant)]]))
            for name, variant in zip(self.names, self.variants, strict=True)
        ]

    def rows(self, result: Sequence[VariantScore]) -> list[tuple[str, ...]]:
        """Lines of a table with `columns`."""
        return [(each.variant, f"{each.score:.6f}") for each in result]

    @cached_property
    def _by_positions(self) -> dict[tuple[int, ...], Query]:
        wanted: dict[tuple[int, ...], dict[int, set[str]]] = {}
        for variant in self.variants:
            letters = wanted.setdefault(_positions(variant), {})
            for mutation in variant:
                letters.setdefault(mutation.position, set()).update((mutation.wild_type, mutation.mutant))
        return {
            positions: Query(self.sequence, tuple((p, "".join(sorted(letters[p]))) for p in positions))
            for positions, letters in wanted.items()
        }


def _positions(variant: Sequence[Mutation]) -> tuple[int, ...]:
    return tuple(mutation.position for mutation in variant)


def _score(variant: Sequence[Mutation], answer: Answer) -> float:
    return math.fsum(answer[m.position, m.mutant] - answer[m.position, m.wild_type] for m in variant)
