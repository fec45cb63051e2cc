"""A run with a model that takes no time and no torch: helices for structures. Also a script, to be killed.

``python fake_run.py FASTA FOLDER SECONDS`` folds a file, each record in so many seconds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lowmem_fold.errors import InputError
from lowmem_fold.predictions.prediction import Prediction
from lowmem_fold.sequences.fasta import parse_sequence
from lowmem_fold.sequences.records import Record
from lowmem_fold.sequences.residues import existing_atoms

LETTERS = "ARNDCQEGHILKMFPSTWYV"


def helix(record: Record, **changes: Any) -> Prediction:
    """CA atoms on an alpha helix (radius 2.3 Angstrom, 100 degrees and 1.5 Angstrom a residue: 3.8 apart)."""
    n = record.length
    angle = np.deg2rad(100.0) * np.arange(n)
    ca = np.stack([2.3 * np.cos(angle), 2.3 * np.sin(angle), 1.5 * np.arange(n)], axis=-1)
    positions = ca[:, None, :] + 0.1 * np.arange(37)[None, :, None] - 0.1  # atom 1 of the 37 is CA
    chains = len(record.chains)
    fields: dict[str, Any] = {
        "id": record.id,
        "chains": record.chains,
        "positions": positions.astype(np.float32),
        "atom_mask": existing_atoms("".join(record.chains)),
        "plddt": np.full(n, 80.5, np.float32),
        "atom_plddt": np.full((n, 37), 80.5, np.float32),
        "ptm": 0.75,
        "iptm": 0.5 if chains > 1 else None,
        "pae": np.ones((n, n), np.float32),
        "num_passes": 4,
        "chain_pair_iptm": np.ones((chains, chains), np.float32),
    }
    return Prediction(**{**fields, **changes})


WEIGHTS = {"fp32": 100, "int8": 50, "int4": 30}
HELD = {"resident": 1.0, "staged": 0.6, "streamed": 0.1}
PER_TOKEN = {None: 1.0, 16: 0.8, 4: 0.6}


def needed(precision: str, placement: str, tokens: int = 0, chunk_size: int | None = None) -> float:
    """Memory that the fake model takes: of its weights, and of a fold."""
    return WEIGHTS[precision] * HELD[placement] + PER_TOKEN[chunk_size] * tokens


def fake_state(record: Record) -> np.ndarray:
    """What the fake stem makes of a record: (L, 2), the letters of its chains."""
    letters = np.frombuffer(("G" * 25).join(record.chains).encode(), np.uint8)
    return np.stack([letters, letters**2], axis=1).astype(np.float32)


class FakeFolder:
    """What a run needs of a model.

    Parameters
    ----------
    before : callable, optional
        Called with each record before it is folded; may raise.
    before_batch, before_stem : callable, optional
        Called with the records of a batch, and of those whose stem is to run.
    changes : dict, optional
        Fields of the predictions that differ, by id.
    placements : sequence of str
        Those that it can have; it is loaded in the first one.
    capacity : float
        Of the memory that `needed` is measured by.
    """

    def __init__(
        self,
        model: str = "facebook/esmfold_v1",
        *,
        before: Callable[[Record], object] = lambda record: None,
        before_batch: Callable[[Sequence[Record]], object] = lambda records: None,
        before_stem: Callable[[Sequence[Record]], object] = lambda records: None,
        changes: dict[str, dict[str, Any]] | None = None,
        fingerprint: str = "f00d",
        placements: Sequence[str] = ("resident",),
        capacity: float = float("inf"),
    ) -> None:
        self.model = model
        self.precision, self.placement, self.placements = "fp32", placements[0], tuple(placements)
        self.folded: list[list[str]] = []
        self.stem: list[list[str]] = []
        self.keywords: list[dict[str, Any]] = []
        self.loads: list[dict[str, Any]] = []
        self.tried: list[str] = []
        self.capacity = capacity
        self._before, self._before_batch, self._before_stem = before, before_batch, before_stem
        self._changes = changes or {}
        self._fingerprint = fingerprint

    def load(self, model: str, *, precision: str | None, placement: str | None, **options: Any) -> FakeFolder:
        """Stands for ``lowmem_fold.load``."""
        self.loads.append({"precision": precision, "placement": placement, **options})
        self.model, self.precision = model, precision or "fp32"
        self.place(placement or self.placements[0])
        return self

    def place(self, placement: str) -> None:
        if placement not in self.placements:
            raise InputError(f"no {placement}")
        self._take(needed(self.precision, placement), f"{self.precision} {placement}")
        self.placement = placement

    def planned_placement(self, length: int) -> str | None:
        return self.placement

    def stem_states(self, sequences: Sequence[Record], *, progress: Callable[[float], None]) -> list[np.ndarray]:
        self._before_stem(sequences)
        self.stem.append([record.id for record in sequences])
        progress(1.0)
        return [fake_state(record) for record in sequences]

    def fold(self, sequence: Record, **options: Any) -> Prediction:
        self._before(sequence)
        self._note([sequence], [options["states"]] if options["states"] is not None else None, options)
        return helix(sequence, **self._changes.get(sequence.id, {}))

    def fold_batch(self, sequences: Sequence[Record], **options: Any) -> list[Prediction]:
        self._before_batch(sequences)
        self._note(sequences, options["states"], options)
        return [helix(record, **self._changes.get(record.id, {})) for record in sequences]

    def describe(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "fingerprint": self._fingerprint,
            "precision": self.precision,
            "resolved_precision": self.precision,
            "device": "cpu",
        }

    def _take(self, amount: float, what: str) -> None:
        if amount > self.capacity:
            self.tried.append(f"{what}: no")
            raise MemoryError(f"{amount:.0f} of {self.capacity:.0f}")
        self.tried.append(what)

    def _note(self, records: Sequence[Record], states: Sequence[Any] | None, options: dict[str, Any]) -> None:
        for record, state in zip(records, states or [], strict=bool(states)):
            assert np.array_equal(np.asarray(state), fake_state(record))
        tokens, chunk_size = sum(record.num_tokens for record in records), options["chunk_size"]
        amount = needed(self.precision, self.placement, tokens, chunk_size)
        names = "+".join(record.id for record in records)
        self._take(amount, f"{names} {self.precision} {self.placement} {chunk_size}")
        self.folded.append([record.id for record in records])
        self.keywords.append(options)


def make_records(*lengths: int, prefix: str = "r") -> list[Record]:
    """Records r0, r1, ... of the lengths given; the sequence follows from length and place."""
    return [
        parse_sequence((LETTERS[i % 20 :] + LETTERS * (length // 20 + 1))[:length], f"{prefix}{i}")
        for i, length in enumerate(lengths)
    ]


def _main(fasta: str, folder: str, seconds: str, most: str) -> None:
    """Folds `most` records in so many seconds each, and hangs in the next one: so that a run which is to be killed, or
    stopped, is not over before that on a busy machine."""
    from itertools import count

    from lowmem_fold.run.folding import fold_records
    from lowmem_fold.run.progress import Progress
    from lowmem_fold.run.stopping import StopSignals
    from lowmem_fold.sequences.fasta import read_fasta

    numbers = count(1)
    slow = FakeFolder(before=lambda record: time.sleep(float(seconds) if next(numbers) <= int(most) else 600))
    with StopSignals() as stops:
        fold_records(read_fasta(fasta), folder, load=slow.load, progress=Progress(), stops=stops)


if __name__ == "__main__":
    _main(*sys.argv[1:])
