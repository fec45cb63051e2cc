"""Predictions to look at: known structures with a made-up confidence."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np

from lowmem_fold.predictions.prediction import Prediction
from lowmem_fold.predictions.structures import Structure, read_pdb

TS50 = Path(__file__).parents[2] / "benchmarks" / "data" / "ts50"


def known(name: str) -> Structure:
    return read_pdb(TS50 / f"{name}.pdb.gz")


def predicted(structure: Structure, *cuts: int, **changes) -> Prediction:
    """The structure as a prediction, cut into chains at these residues; pLDDT from 20 to 100, PAE not symmetric."""
    ends = [0, *cuts, structure.length]
    chains = tuple(structure.sequence[start:end] for start, end in pairwise(ends))
    count, n = len(chains), structure.length
    plddt = np.linspace(20, 100, n, dtype=np.float32)
    fields = {
        "id": structure.id,
        "chains": chains,
        "positions": structure.positions,
        "atom_mask": structure.atom_mask,
        "plddt": plddt,
        "atom_plddt": np.repeat(plddt[:, None], 37, axis=1),
        "ptm": 0.75,
        "iptm": 0.5 if count > 1 else None,
        "pae": np.random.default_rng(0).uniform(0, 31, (n, n)).astype(np.float32),
    }
    return Prediction(**{**fields, **changes})


def turned(points: np.ndarray, seed: int = 0) -> np.ndarray:
    """Points (..., 3) after a random rotation and a step."""
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    rotation[0] *= np.linalg.det(rotation)
    return (points @ rotation.T + rng.normal(0, 20, 3)).astype(np.float32)
