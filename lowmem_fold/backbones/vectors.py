"""What a language model says of a protein."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Embedding"]


@dataclass(frozen=True, eq=False)
class Embedding:
    """Of one protein of L residues; D is the width of the model.

    Attributes
    ----------
    residues : ndarray, shape=(L, D) or (layers, L, D), dtype=float32, optional
        With an axis of layers where several were asked for. Of a truncated sequence L counts what was left.
    pooled : ndarray, shape=(parts * D,) or (layers, parts * D), dtype=float32, optional
        The poolings asked for, concatenated.
    """

    residues: np.ndarray | None
    pooled: np.ndarray | None

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Those that there are, by name."""
        both = {"residues": self.residues, "pooled": self.pooled}
        return {name: array for name, array in both.items() if array is not None}

    def is_finite(self) -> bool:
        """Whether all of it are numbers: half precision may have overflowed."""
        return all(bool(np.isfinite(array).all()) for array in self.arrays.values())
