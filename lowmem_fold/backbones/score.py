"""Scores that a language model gives sequences and their mutations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from ..errors import InputError
from ..packing import packed
from .chain import check_chain, check_length, plain_chain
from .families import AMINO_ACIDS
from .likelihood import Likelihood, LikelihoodTask
from .masked import check_masked_lm, masked_log_probabilities
from .mutations import ALL_MUTATIONS
from .queries import LONG, Answer, Query
from .variants import VariantScore, VariantsTask

if TYPE_CHECKING:
    from .backbone import Backbone
    from .journal import Journal

__all__ = ["Task", "check_tasks", "run_tasks", "score", "score_mutations"]

_QUERIES_AT_ONCE = 20_000
"""Of tasks that are worked on together, so that their answers do not fill the memory."""


class Task(Protocol):
    """What is to be found of one sequence. Equal tasks are done once."""

    @property
    def sequence(self) -> str: ...

    @property
    def queries(self) -> Sequence[Query]: ...

    def result(self, answers: Mapping[Query, Answer]) -> Any: ...


_T = TypeVar("_T", bound=Task)


def score(backbone: Backbone, sequences: Sequence[str], long: str = LONG[0]) -> list[Likelihood]:
    """The pseudo-perplexity of each sequence: as many runs of the model as it has residues.

    Parameters
    ----------
    backbone : Backbone
    sequences : sequence of str
        One chain each.
    long : str
        What is done with a sequence that is longer than the model has positions for: ``refuse``, or ``windows``, which
        shows it what is around each masked residue.

    Raises
    ------
    InputError
        The model has no head for masked residues, or a sequence is not what it should be.
    """
    if isinstance(sequences, str):
        raise InputError("sequences are a list: put a single one into brackets")
    names = [f"sequence {number}" for number in range(1, len(sequences) + 1)]
    tasks = [LikelihoodTask(plain_chain(text, name)) for name, text in zip(names, sequences, strict=True)]
    check_tasks(backbone, list(zip(names, tasks, strict=True)), long)
    found: dict[LikelihoodTask, Likelihood] = {}
    run_tasks(backbone, tasks, found.__setitem__)
    return [found[task] for task in tasks]


def score_mutations(
    backbone: Backbone, sequence: str, mutations: str | Sequence[str], long: str = LONG[0]
) -> list[VariantScore]:
    """The masked-marginal score of variants of a sequence: as many runs as there are sets of mutated positions.

    Parameters
    ----------
    backbone : Backbone
    sequence : str
        The wild type, one chain.
    mutations : sequence of str, or "all"
        ``A123V``, several of one variant as ``A12V:G40D``; ``all``: each amino acid by each other, one at a time.
    long : str
        As of `score`.

    Raises
    ------
    InputError
        As of `score`; also for a mutation that does not fit the sequence.
    """
    if isinstance(mutations, str) and mutations != ALL_MUTATIONS:
        raise InputError(f"mutations are a list, or {ALL_MUTATIONS!r}: put a single one into brackets")
    name = "the sequence"
    task = VariantsTask.of(plain_chain(sequence, name), mutations, name)
    check_tasks(backbone, [(name, task)], long)
    found: list[VariantScore] = []
    run_tasks(backbone, [task], lambda _, scores: found.extend(scores))
    return found


def check_tasks(backbone: Backbone, tasks: Sequence[tuple[str, Task]], long: str) -> None:
    """InputError if the model cannot do a task, by its name."""
    check_masked_lm(backbone)
    if long not in LONG:
        raise InputError(f"long sequences can be {', '.join(LONG)}; {long!r} is none of these")
    cure = f"choose {LONG[1]} (--long {LONG[1]}) to show it what is around each masked residue"
    for name, task in tasks:
        check_chain(task.sequence, name, backbone.family)
        if long == LONG[0]:
            check_length(task.sequence, name, backbone.family, cure)
        for query in task.queries:
            query.check(name, backbone.family.max_residues)


def run_tasks(
    backbone: Backbone,
    tasks: Iterable[_T],
    receive: Callable[[_T, Any], None],
    journal: Journal | None = None,
    progress: Callable[[int], object] | None = None,
) -> None:
    """Do each task once.

    Parameters
    ----------
    backbone : Backbone
    tasks : iterable of Task
    receive : callable
        Called with a task and its result as soon as it is there, the longest sequences first.
    journal : Journal, optional
        What it knows is not asked again; what becomes known is written there at once.
    progress : callable, optional
        Called with a number of queries that are answered, as they are.
    """
    order = sorted(dict.fromkeys(tasks), key=lambda task: -len(task.sequence))
    for group in packed(order, lambda task: len(task.queries), _QUERIES_AT_ONCE):
        known: dict[Query, Answer] = {}

        def learn(query: Query, found: Answer, known: dict[Query, Answer] = known) -> None:
            known[query] = found
            if journal is not None:
                journal.add(query, found)
            if progress is not None:
                progress(1)

        queries = dict.fromkeys(query for task in group for query in task.queries)
        if journal is not None:
            known.update((query, found) for query in queries if (found := journal.get(query)) is not None)
            if progress is not None:
                progress(len(known))
        _answer(backbone, [query for query in queries if query not in known], learn)
        for task in group:
            receive(task, task.result(known))


def _answer(backbone: Backbone, queries: Sequence[Query], receive: Callable[[Query, Answer], None]) -> None:
    """Ask the model. receive: called once for each query, as they are answered, similar lengths together."""
    size = backbone.family.max_residues

    def received(index: int, found: np.ndarray) -> None:
        query = queries[index]
        rows = dict(zip((position for position, _ in query.wanted), found, strict=True))
        receive(
            query, {(place, letter): float(rows[place][AMINO_ACIDS.index(letter)]) for place, letter in query.letters}
        )

    masked_log_probabilities(backbone, [query.masked(size) for query in queries], received)
