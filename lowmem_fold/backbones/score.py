"""Scores that a language model gives sequences and their mutations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from ..errors import InputError
from ..sequences.packing import packed
from ..sequences.sequence_lists import Sequences, list_sequences
from .chain import check_chain, check_length, plain_chain
from .families import AMINO_ACIDS
from .likelihood import Likelihood, LikelihoodTask
from .masked import check_masked_lm, masked_log_probabilities
from .mutations import ALL_MUTATIONS
from .queries import LONG_SCORED, Answer, Query
from .variants import VariantScore, VariantsTask

if TYPE_CHECKING:
    from ..sequences.records import Record
    from .answers import AnswerFile
    from .backbone import Backbone

__all__ = ["Task", "check_tasks", "run_tasks", "score", "score_mutations"]

_RESIDUES_AT_ONCE = 2**22
"""Of the queries that are worked on together, so that they and their answers do not fill the memory."""


class Task(Protocol):
    """What is to be found of one sequence. Equal tasks are done once."""

    @property
    def sequence(self) -> str: ...

    @property
    def queries(self) -> Sequence[Query]: ...

    def result(self, answers: Mapping[Query, Answer]) -> Any: ...


_T = TypeVar("_T", bound=Task)


def score(
    backbone: Backbone, sequences: Sequences, long: str = LONG_SCORED[0], *, allow_nucleotide_letters: bool = False
) -> list[Likelihood]:
    """The pseudo-perplexity of each sequence: as many runs of the model as it has residues.

    Parameters
    ----------
    backbone : Backbone
    sequences : iterable or mapping of str or Record
        One chain each; as of `embed`.
    long : str
        What is done with a sequence that is longer than the model has positions for: ``refuse``, or ``windows``, which
        shows it what is around each masked residue.
    allow_nucleotide_letters : bool
        As of `embed`.

    Raises
    ------
    InputError
        The model has no head for masked residues, or a sequence is not what it should be.
    """
    given = list_sequences(sequences)
    tasks = [LikelihoodTask(plain_chain(each.sequence, each.name, allow_nucleotide_letters)) for each in given]
    check_tasks(backbone, [(each.name, task) for each, task in zip(given, tasks, strict=True)], long)
    found: dict[LikelihoodTask, Likelihood] = {}
    run_tasks(backbone, tasks, found.__setitem__)
    return [found[task] for task in tasks]


def score_mutations(
    backbone: Backbone,
    sequence: str | Record,
    mutations: str | Sequence[str],
    long: str = LONG_SCORED[0],
    *,
    allow_nucleotide_letters: bool = False,
) -> list[VariantScore]:
    """The masked-marginal score of variants of a sequence: as many runs as there are sets of mutated positions.

    Parameters
    ----------
    backbone : Backbone
    sequence : str or Record
        The wild type, one chain.
    mutations : sequence of str, or "all"
        ``A123V``, several of one variant as ``A12V:G40D``; ``all``: each amino acid by each other, one at a time.
    long : str
        As of `score`.
    allow_nucleotide_letters : bool
        As of `embed`.

    Raises
    ------
    InputError
        As of `score`; also for a mutation that does not fit the sequence.
    """
    if isinstance(mutations, str) and mutations != ALL_MUTATIONS:
        raise InputError(f"mutations are a list, or {ALL_MUTATIONS!r}: put a single one into brackets")
    name = "the sequence"
    task = VariantsTask.of(plain_chain(sequence, name, allow_nucleotide_letters), mutations, name)
    check_tasks(backbone, [(name, task)], long)
    found: list[VariantScore] = []
    run_tasks(backbone, [task], lambda _, scores: found.extend(scores))
    return found


def check_tasks(backbone: Backbone, tasks: Sequence[tuple[str, Task]], long: str) -> None:
    """InputError if the model cannot do a task, by its name."""
    check_masked_lm(backbone)
    if long not in LONG_SCORED:
        raise InputError(f"unknown value {long!r} for long sequences; choose from: {', '.join(LONG_SCORED)}")
    cure = f"choose {LONG_SCORED[1]} (--long {LONG_SCORED[1]}) to show it what is around each masked residue"
    for name, task in tasks:
        check_chain(task.sequence, name, backbone.family)
        if long == LONG_SCORED[0]:
            check_length(task.sequence, name, backbone.family, cure)
        for query in task.queries:
            query.check(name, backbone.family.max_residues)


def run_tasks(
    backbone: Backbone,
    tasks: Iterable[_T],
    receive: Callable[[_T, Any], None],
    answers: AnswerFile | None = None,
    progress: Callable[[int], object] | None = None,
    failed: Callable[[_T, Exception], None] | None = None,
) -> None:
    """Do each task once.

    Parameters
    ----------
    backbone : Backbone
    tasks : iterable of Task
    receive : callable
        Called with a task and its result as soon as it is there, the longest sequences first.
    answers : AnswerFile, optional
        What it knows is not asked again; what becomes known is written there at once.
    progress : callable, optional
        Called with a number of queries that are answered, or given up, as they are.
    failed : callable, optional
        Called with a task whose sequence cannot be run, and the error: what is left of it is given up, the others go
        on. By default the error is raised.

    Raises
    ------
    BudgetError
        A sequence has no room.
    ModelError
        Numbers are not finite.
    """
    order = sorted(dict.fromkeys(tasks), key=lambda task: -len(task.sequence))
    size = backbone.family.max_residues
    for group in packed(order, lambda task: len(task.queries) * _seen(task, size), _RESIDUES_AT_ONCE):
        known: dict[Query, Answer] = {}
        failures: dict[str, Exception] = {}

        def learn(query: Query, found: Answer, known: dict[Query, Answer] = known) -> None:
            known[query] = found
            if answers is not None:
                answers.add(query, found)
            if progress is not None:
                progress(1)

        queries = dict.fromkeys(query for task in group for query in task.queries)
        if answers is not None:
            known.update((query, found) for query in queries if (found := answers.get(query)) is not None)
            if progress is not None:
                progress(len(known))
        left = [query for query in queries if query not in known]
        _answer(backbone, left, learn, None if failed is None else failures)
        if progress is not None:
            progress(len(queries) - len(known))
        for task in group:
            if failed is not None and task.sequence in failures:
                failed(task, failures[task.sequence])
            else:
                receive(task, task.result(known))


def _seen(asked: Task | Query, size: int | None) -> int:
    """Residues that a model for `size` of them sees of a sequence."""
    return min(len(asked.sequence), size or len(asked.sequence))


def _answer(
    backbone: Backbone,
    queries: Sequence[Query],
    receive: Callable[[Query, Answer], None],
    failures: dict[str, Exception] | None,
) -> None:
    """Ask the model. receive: called once for each query, as they are answered, similar lengths together. failures:
    takes the errors by sequence, of which nothing more is asked then; without it they are raised."""
    size = backbone.family.max_residues

    def received(query: Query, found: np.ndarray) -> None:
        rows = dict(zip((position for position, _ in query.wanted), found, strict=True))
        receive(
            query, {(place, letter): float(rows[place][AMINO_ACIDS.index(letter)]) for place, letter in query.letters}
        )

    for part in packed(queries, lambda query: _seen(query, size), _RESIDUES_AT_ONCE):
        _answer_part(backbone, part, received, failures)


def _answer_part(
    backbone: Backbone,
    part: Sequence[Query],
    received: Callable[[Query, np.ndarray], None],
    failures: dict[str, Exception] | None,
) -> None:
    def failed(index: int, error: Exception) -> None:
        assert failures is not None
        failures[part[index].sequence] = error

    masked_log_probabilities(
        backbone,
        [query.masked(backbone.family.max_residues) for query in part],
        lambda index, found: received(part[index], found),
        None if failures is None else failed,
        lambda index: failures is not None and part[index].sequence in failures,
    )
