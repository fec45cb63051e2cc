"""Embedding from Python: sequences in, arrays out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..sequences.records import Record
from ..sequences.sequence_lists import Sequences, list_sequences, parse_given
from ..system.terminal import printable
from .chain import refuse_chains
from .embedding import Embedder
from .recipe import make_recipe
from .vectors import Embedding

if TYPE_CHECKING:
    from .backbone import Backbone

__all__ = ["embed", "taken_of_record"]

_MOST_NAMED = 10
"""Sequences that a warning lists."""


def embed(
    backbone: Backbone,
    sequences: Sequences,
    layers: str | int | Sequence[int | str] | Mapping[int | str, float] = "last",
    pool: str | Sequence[str] | None = None,
    *,
    max_tokens: int | None = None,
    allow_nucleotide_letters: bool = False,
    progress: Callable[[float], None] | None = None,
    **recipe: Any,
) -> list[Embedding]:
    """Embed sequences, each of them once however often it comes.

    Parameters
    ----------
    backbone : Backbone
    sequences : iterable or mapping of str or Record
        Of one chain each; unusual residues are the family's to know. A mapping is of ids to sequences, a string alone
        is one sequence: see `list_sequences`.
    layers, pool, **recipe
        `residues`, `long`, `max_length` and `overlap` further: see `make_recipe`.
    max_tokens : int, optional
        Of a batch, padding included. By default as many as are worthwhile and fit the memory; where that runs out,
        fewer, and at last in a smaller placement.
    allow_nucleotide_letters : bool
        Whether a sequence that looks like DNA or RNA, see `lowmem_fold.sequences.molecules`, is taken as a protein;
        else it is refused. A record was checked where it was read.
    progress : callable, optional
        Called after each batch with the part, 0 to 1, that is done.

    Returns
    -------
    list of Embedding
        In the order of the sequences. Those of one sequence are one object. What is beside a sequence in a batch
        changes its numbers by no more than rounding.

    Warns
    -----
    UserWarning
        Sequences are truncated: names them.

    Raises
    ------
    InputError
        What is asked for cannot be had of the model, or a sequence is not one chain of residues, or longer than it
        may be: names the sequence.
    ModelError
        Results are no finite numbers.
    """
    embedder = Embedder(backbone, make_recipe(layers, pool, **recipe))
    letters = {"keep_unusual": True, "allow_nucleotide_letters": allow_nucleotide_letters}
    records = [parse_given(given, **letters) for given in list_sequences(sequences)]
    taken = [taken_of_record(embedder, record) for record in records]
    _warn_of_truncated(records, taken)
    unique = list(dict.fromkeys(taken))
    found: dict[str, Embedding] = {}
    done, total = 0, sum(map(len, unique))

    def receive(batch: Mapping[int, Embedding]) -> None:
        nonlocal done
        found.update((unique[index], embedding) for index, embedding in batch.items())
        done += sum(len(unique[index]) for index in batch)
        if progress is not None:
            progress(done / total)

    embedder.embed_all(unique, receive, max_tokens)
    return [found[sequence] for sequence in taken]


def taken_of_record(embedder: Embedder, record: Record) -> str:
    """What is embedded of a record. InputError, with its name, if it is none, or has several chains."""
    where = record.source or f"sequence {record.id!r}"
    refuse_chains(len(record.chains), where)
    try:
        return embedder.taken(record.sequence)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _warn_of_truncated(records: Sequence[Record], taken: Sequence[str]) -> None:
    cut = [
        f"{record.source or record.id} ({record.length} residues, to {len(each)})"
        for record, each in zip(records, taken, strict=True)
        if len(each) < record.length
    ]
    if cut:
        more = f" and {len(cut) - _MOST_NAMED} more" if len(cut) > _MOST_NAMED else ""
        warnings.warn(printable(f"truncated: {', '.join(cut[:_MOST_NAMED])}{more}"), stacklevel=4)
