"""A run with a model that takes no time and no torch: helices for structures. Also a script, to be killed.

``python fake_run.py FASTA FOLDER SECONDS`` folds a file, each record in so many seconds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lowmem_fold.prediction import Prediction
from lowmem_fold.residues import existing_atoms
from lowmem_fold.sequences import Record, parse_sequence

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


class FakeFolder:
    """What a run needs of a model.

    Parameters
    ----------
    before : callable, optional
        Called with each record before it is folded; may raise.
    changes : dict, optional
        Fields of the predictions that differ, by id.
    """

    def __init__(
        self,
        model: str = "facebook/esmfold_v1",
        *,
        device: str = "cpu",
        before: Callable[[Record], object] = lambda record: None,
        before_batch: Callable[[Sequence[Record]], object] = lambda records: None,
        changes: dict[str, dict[str, Any]] | None = None,
        fingerprint: str = "f00d",
    ) -> None:
        self.model = model
        self.folded: list[list[str]] = []
        self.keywords: list[dict[str, Any]] = []
        self._before, self._before_batch = before, before_batch
        self._changes = changes or {}
        self._fingerprint = fingerprint

    def load(self, model: str, *, precision: str | None, device: str) -> FakeFolder:
        """Stands for ``lowmem_fold.load``."""
        self.model = model
        return self

    def fold(self, sequence: Record, **options: Any) -> Prediction:
        self._before(sequence)
        self._note([sequence], options)
        return helix(sequence, **self._changes.get(sequence.id, {}))

    def fold_batch(self, sequences: Sequence[Record], **options: Any) -> list[Prediction]:
        self._before_batch(sequences)
        self._note(sequences, options)
        return [helix(record, **self._changes.get(record.id, {})) for record in sequences]

    def describe(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "fingerprint": self._fingerprint,
            "precision": "fp32",
            "resolved_precision": "fp32",
            "device": "cpu",
        }

    def _note(self, records: Sequence[Record], options: dict[str, Any]) -> None:
        self.folded.append([record.id for record in records])
        self.keywords.append(options)


def make_records(*lengths: int, prefix: str = "r") -> list[Record]:
    """Records r0, r1, ... of the lengths given; the sequence follows from length and place."""
    return [
        parse_sequence((LETTERS[i % 20 :] + LETTERS * (length // 20 + 1))[:length], f"{prefix}{i}")
        for i, length in enumerate(lengths)
    ]


def _main(fasta: str, folder: str, seconds: str) -> None:
    from lowmem_fold.folding import fold_records
    from lowmem_fold.run.progress import Progress
    from lowmem_fold.run.stopping import StopSignals
    from lowmem_fold.sequences import read_fasta

    slow = FakeFolder(before=lambda record: time.sleep(float(seconds)))
    with StopSignals() as stops:
        fold_records(read_fasta(fasta), folder, load=slow.load, progress=Progress(), stops=stops)


if __name__ == "__main__":
    _main(*sys.argv[1:])
