"""What a prediction has to be better than: random weights, a random real chain, an ideal helix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lowmem_fold.predictions.structures import Structure

from .guess import Guess

if TYPE_CHECKING:
    from lowmem_fold.folder import Folder

__all__ = ["draw_pairs", "helix", "random_weights"]

DRAWS = 5
"""Partners drawn for each chain."""
COMMON_ROTAMER = np.radians([-65.0, 180.0, 180.0, 180.0])
"""The commonest chi angles over all residues: gauche minus, then trans."""


def random_weights(folder: Folder) -> Folder:
    """A model of the same shape whose every weight, the stem's too, is random."""
    from lowmem_fold.bench.models import random_model
    from lowmem_fold.folder import Folder

    return Folder(random_model(folder.model.config).float().to(folder.device), folder.checkpoint)


def draw_pairs(structures: Sequence[Structure], seed: int = 0) -> list[tuple[Structure, str, Guess]]:
    """Chains of one length: each chain, and for guess a window of a longer one, cut to its length, several times over.

    The longest has no partner and is left out.

    Returns
    -------
    list of (Structure, str, Guess)
        The chain, its partner's id, and the partner's window.
    """
    rng = np.random.default_rng(seed)
    pairs = []
    for structure in structures:
        longer = [other for other in structures if other.id != structure.id and other.length >= structure.length]
        for _ in range(DRAWS if longer else 0):
            partner = longer[rng.integers(len(longer))]
            start = rng.integers(partner.length - structure.length + 1)
            pairs.append((structure, partner.id, Guess(partner.ca[start : start + structure.length])))
    return pairs


def helix(structure: Structure) -> Guess:
    """An ideal alpha helix: a turn of 100 degrees and a rise of 1.5 Angstrom a residue, its CA atoms 2.3 from the axis;
    side chains in the commonest rotamer."""
    index = np.arange(structure.length)
    angle = np.radians(100.0) * index
    ca = np.stack([2.3 * np.cos(angle), 2.3 * np.sin(angle), 1.5 * index], axis=1)
    return Guess(ca, np.broadcast_to(COMMON_ROTAMER, (structure.length, 4)))
