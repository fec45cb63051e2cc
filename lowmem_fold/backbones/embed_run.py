"""A run that embeds the records of a file: it goes on from what is there, and leaves nothing out."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..checkpoints.checkpoint import find_checkpoint
from ..errors import InputError
from ..system.files import nearest_existing
from ..system.log import logging_to
from ..system.versions import environment_versions, package_version
from .batches import reason
from .recipe import Recipe
from .stores import find_store
from .stores.file import EmbeddingFile
from .stores.head import Row
from .stores.settings import refuse_mixture
from .stores.store import Store, partial_folder, sequence_key

if TYPE_CHECKING:
    from ..sequences.records import Record
    from .backbone import Backbone
    from .embedding import Embedder
    from .vectors import Embedding

__all__ = ["EmbedSummary", "embed_records", "log_file"]

_log = logging.getLogger(__name__)


@dataclass
class EmbedSummary:
    """What became of the records, by id, in the order of the input.

    Attributes
    ----------
    embedded, skipped : list of str
        Now, and before. Records of one sequence are all embedded where one is.
    failed : dict of str to str
        Not embedded, and why.
    truncated : dict of str to int
        Only so many residues were embedded, as asked for.
    renewed : list of str
        Were in the file, or in what an interrupted run left, but damaged, and so made anew; of those embedded.
    lost : list of str
        Records of the file that were damaged too, but are not of this input: left out of it.
    kept : int
        Finished embeddings of other records, which an interrupted run left and which wait for its input.
    unique : int
        Sequences that were run for those embedded now.
    placement : str, optional
        Where the weights were at the end, if that changed as memory was short.
    """

    embedded: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    truncated: dict[str, int] = field(default_factory=dict)
    renewed: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    kept: int = 0
    unique: int = 0
    placement: str | None = None


def embed_records(
    records: Sequence[Record],
    out: str | Path,
    load: Callable[[], Backbone],
    recipe: Recipe,
    asked: Mapping[str, Any],
    *,
    max_tokens: int | None = None,
    overwrite: bool = False,
    progress: Callable[[float], None] | None = None,
) -> EmbedSummary:
    """Embed records into a file of the kind that its name says, see `lowmem_fold.backbones.stores`.

    While it runs, what is done is beside the file, in a hidden folder from which the next run goes on; the file itself
    appears, or changes, at the end. Records that it held of another input stay in it, after those of this one.

    Parameters
    ----------
    records : sequence of Record
        Of one chain each, with ids that differ.
    out : str or Path
    load : callable
        Gives the model; called when all else is checked, and not at all where every record is there.
    recipe : Recipe
    asked : Mapping
        `model` and `precision` as they were asked for. That no record is left to embed is told by the fingerprint of
        that model's files, without loading it.
    max_tokens : int, optional
        As of `Embedder.embed_all`.
    overwrite : bool
        Whether a file that is there is replaced by one with these records alone. An interrupted run that was of the
        same kind counts all the same.
    progress : callable, optional
        Called after each batch with the part, 0 to 1, that is done.

    Returns
    -------
    EmbedSummary
        Where records failed, the file holds the others, and the log beside it the tracebacks; the next run tries them
        again.

    Raises
    ------
    InputError
        The file is of other settings (names them), of other sequences, or in use; a sequence is too long; the model has
        not what is asked for.
    ModelError
        As `load`.
    OSError
        Results cannot be written, as on a full disk. What was written stays sound.
    """
    out = Path(out)
    store = find_store(out)
    rows = [Row(record.id, sequence_key(record.sequence), record.length) for record in records]
    known = {**recipe.settings(), "lowmem_fold": package_version()}
    _check_folder(out)
    words = {"precision": asked["precision"], "layers": str(recipe.layers)}
    if not overwrite and _is_finished(store, rows, known, words, asked["model"]):
        return EmbedSummary(skipped=[row.id for row in rows])
    backbone = load()
    run = _Run(backbone, recipe, records, rows, store, {**known, "about": {"asked": words}})
    if not overwrite:
        run.check_present()
    with store.opened(run.settings(), overwrite):
        with logging_to(log_file(out)):
            summary = run.embed(max_tokens, progress)
        if not summary.failed:
            log_file(out).unlink()
    return summary


def log_file(out: str | Path) -> Path:
    """Where a run says what it did, which stays if records failed or it was interrupted."""
    return partial_folder(Path(out)) / "lowmem_fold.log"


class _Run:
    """A model, the records, and where results go. InputError if a record cannot be embedded, or not be stored."""

    def __init__(
        self,
        backbone: Backbone,
        recipe: Recipe,
        records: Sequence[Record],
        rows: Sequence[Row],
        store: Store,
        known: Mapping[str, Any],
    ) -> None:
        from .embed import taken_of_record
        from .embedding import Embedder

        self._backbone, self._rows, self._store, self._known = backbone, rows, store, known
        self._embedder: Embedder = Embedder(backbone, recipe)
        self._taken = [taken_of_record(self._embedder, record) for record in records]
        store.check(rows, self._embedder.result_floats(max(map(len, self._taken))))

    def settings(self) -> dict[str, Any]:
        """What the file says of the numbers, and under `about` of what does not change them but by rounding, as it is
        at this moment: the placement may step down."""
        about = self._backbone.describe()
        judged = {name: about.pop(name) for name in ("model", "fingerprint", "precision")}
        judged["model"] = self._backbone.checkpoint.short_name
        del about["source"]  # a path of one machine
        about |= {**self._known["about"], "versions": environment_versions()}
        return {**judged, "layers": str(self._embedder.layers), **self._known, "about": about}

    def check_present(self) -> None:
        """Refuse to mix. Reads only."""
        present = self._store.present()
        if present is not None:
            with present:
                refuse_mixture(self._store.path, present.settings, self.settings())

    def embed(self, max_tokens: int | None, progress: Callable[[float], None] | None) -> EmbedSummary:
        """Embed what is not there, and finish the file."""
        todo = {
            row.key: taken for row, taken in zip(self._rows, self._taken, strict=True) if row.key not in self._store
        }
        before = {row.key for row in self._rows} - todo.keys()
        _log.info("start: %d records, %d sequences to embed, %s", len(self._rows), len(todo), self.settings())
        placement = self._backbone.placement
        failures = self._embed_sequences(todo, max_tokens, progress)
        self._store.finish([row for row in self._rows if row.key not in failures], self.settings())
        _log.info("end: %d sequences failed", len(failures))
        summary = EmbedSummary(unique=len(todo), kept=self._store.kept)
        damaged = self._store.damaged - failures.keys()
        summary.renewed = [row.id for row in self._rows if row.key in damaged]
        asked = {row.id for row in self._rows}
        summary.lost = [row.id for row in self._store.lost if row.id not in asked]
        _log_damaged(self._store.path, summary)
        summary.placement = None if self._backbone.placement == placement else self._backbone.placement
        for row, taken in zip(self._rows, self._taken, strict=True):
            if row.key in failures:
                summary.failed[row.id] = failures[row.key]
            else:
                (summary.skipped if row.key in before else summary.embedded).append(row.id)
            if len(taken) < row.length:
                summary.truncated[row.id] = len(taken)
        return summary

    def _embed_sequences(
        self, todo: Mapping[str, str], max_tokens: int | None, progress: Callable[[float], None] | None
    ) -> dict[str, str]:
        """Embed sequences by key; returns why some failed."""
        keys, sequences = list(todo), list(todo.values())
        failures: dict[str, str] = {}
        done, total = 0, sum(map(len, sequences))

        def receive(batch: Mapping[int, Embedding]) -> None:
            nonlocal done
            self._store.add({keys[index]: embedding for index, embedding in batch.items()})
            done += sum(len(sequences[index]) for index in batch)
            if progress is not None:
                progress(done / total)

        def failed(index: int, error: Exception) -> None:
            failures[keys[index]] = reason(error, str(self._backbone.device))

        self._embedder.embed_all(sequences, receive, max_tokens, failed)
        return failures


def _log_damaged(path: Path, summary: EmbedSummary) -> None:
    for ids, what in ((summary.renewed, "made anew"), (summary.lost, "left out, as they are not of this input")):
        if ids:
            _log.warning("%s: %d damaged embeddings, %s: %s", path, len(ids), what, ", ".join(ids))


def _is_finished(
    store: Store, rows: Sequence[Row], known: Mapping[str, Any], words: Mapping[str, Any], model: str
) -> bool:
    """Whether the file has all records as they were written, as far as that can be told without loading the model.
    InputError if it is of another kind, or has another sequence under an id; ModelError if there is no such model."""
    present = store.present()
    if present is None:
        return False
    with present:
        refuse_mixture(store.path, present.settings, known)
        _refuse_other_sequences(store.path, present, rows)
        if present.settings["about"].get("asked") != words or any(present.rows.get(row.id) != row for row in rows):
            return False
        if present.settings.get("fingerprint") != find_checkpoint(model).fingerprint():
            return False
        return all(present.is_sound(row.id) for row in rows)


def _refuse_other_sequences(path: Path, present: EmbeddingFile, rows: Sequence[Row]) -> None:
    for row in rows:
        other = present.rows.get(row.id, row)
        if other.key != row.key:
            raise InputError(
                f"{path}: {row.id!r} is there from another sequence ({other.length} residues there, {row.length} now)."
                " Rename the record, give another file with -o, or add --overwrite to replace the file."
            )


def _check_folder(out: Path) -> None:
    if out.is_dir():
        raise InputError(f"{out}: is a folder; name the file that embeddings go into with -o")
    parent = nearest_existing(out.absolute().parent)
    if not parent.is_dir():
        raise InputError(f"{parent}: is a file, and {out} would be in it. Give another file with -o.")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise InputError(f"{parent}: no permission to write there. Give another file with -o.")
