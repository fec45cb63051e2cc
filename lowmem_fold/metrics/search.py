"""Scores of a whole structure that are searched for over superpositions: TM-score and GDT-TS."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .points import paired_points
from .superposition import rotations

__all__ = ["gdt_ts", "tm_score", "tm_score_d0"]

_GDT_CUTOFFS = np.array([1.0, 2.0, 4.0, 8.0])  # Angstrom
Score = Callable[[np.ndarray], np.ndarray]  # squared distances (S, L) to scores (S, K)

_SHORTEST_SEED = 4  # residues, as in the TM-score program
_MAX_EXTENSIONS = 20  # likewise
_BATCH_ELEMENTS = 4_000_000  # of (superpositions, residues): what a search holds at a time


def tm_score_d0(length: int) -> float:
    """The distance in Angstrom that counts one half in the TM-score of a protein of so many residues.

    1.24 (L - 15)^(1/3) - 1.8, and at least 0.5 (Zhang and Skolnick, Proteins 57, 702, 2004; their program's floor).
    """
    return max(0.5, 1.24 * (length - 15) ** (1 / 3) - 1.8) if length > 15 else 0.5


def tm_score(predicted: np.ndarray, reference: np.ndarray, length: int | None = None) -> float:
    """TM-score at the best superposition found, normalised by the number of residues.

    The search is that of the TM-score program: every fragment of L, L/2, L/4, ... 4 residues is superposed, and the
    superposition is repeated on the residues that come near each other until these stay the same.

    Parameters
    ----------
    predicted, reference : ndarray, shape=(L, 3)
        CA atoms.
    length : int, optional
        Residues of the whole reference, to normalise by, where the L residues are those of it that both have; the
        others then count nothing.
    """
    predicted, reference = paired_points(predicted, reference)
    whole = len(reference) if length is None else length
    d0 = tm_score_d0(whole)
    cutoff = min(max(d0, 4.5), 8.0)

    def score(squares: np.ndarray) -> np.ndarray:
        return (1 / (1 + squares / d0**2)).sum(axis=1, keepdims=True) / whole

    return float(_search(predicted, reference, cutoff - 1, cutoff + 1, score)[0])


def gdt_ts(predicted: np.ndarray, reference: np.ndarray) -> float:
    """Mean part of the residues within 1, 2, 4 and 8 Angstrom, each at the best superposition found for it.

    Zemla, Nucleic Acids Res. 31, 3370, 2003; there in percent. The search is that of ``tm_score``, with each of the
    four distances as the one that residues must come within.

    Parameters
    ----------
    predicted, reference : ndarray, shape=(L, 3)
        CA atoms.
    """
    predicted, reference = paired_points(predicted, reference)

    def score(squares: np.ndarray) -> np.ndarray:
        return np.stack([(squares <= cutoff**2).mean(axis=1) for cutoff in _GDT_CUTOFFS], axis=1)

    found = [_search(predicted, reference, cutoff, cutoff, score) for cutoff in _GDT_CUTOFFS]
    return float(np.max(found, axis=0).mean())


def _search(predicted: np.ndarray, reference: np.ndarray, first: float, then: float, score: Score) -> np.ndarray:
    """The best scores over many superpositions.

    Parameters
    ----------
    predicted, reference : ndarray, shape=(L, 3), dtype=float64
    first, then : float
        Angstrom: residues closer than this after a superposition make up the next one.
    score : callable
        What to make large: squared distances (S, L) to scores (S, K).

    Returns
    -------
    ndarray, shape=(K,)
        Each the best over all superpositions.
    """
    sums = _sums(predicted - predicted.mean(axis=0), reference - reference.mean(axis=0))
    rows = max(1, _BATCH_ELEMENTS // len(sums))
    seeds = _seeds(len(sums))
    done: set[bytes] = set()
    found = [_extend(sums, seeds[i : i + rows], first, then, score, done) for i in range(0, len(seeds), rows)]
    return np.max(found, axis=0)


def _extend(
    sums: np.ndarray, seeds: np.ndarray, first: float, then: float, score: Score, done: set[bytes]
) -> np.ndarray:
    """Superpose on each set of residues, then on those that came near; ``done`` holds the sets that were tried."""
    residues = np.arange(len(sums))
    chosen = (seeds[:, :1] <= residues) & (residues < seeds[:, 1:])
    squares = _squared_distances(sums, chosen)
    best = score(squares).max(axis=0)
    cutoff = first
    for _ in range(_MAX_EXTENSIONS):
        chosen = _untried(_near(squares, cutoff), done)
        if not len(chosen):
            break
        squares = _squared_distances(sums, chosen)
        best = np.maximum(best, score(squares).max(axis=0))
        cutoff = then
    return best


def _seeds(length: int) -> np.ndarray:
    """Shape (S, 2): first residue and end of every fragment of L, L/2, L/4, ... and 4 residues."""
    sizes, size = [length], length // 2
    while size > _SHORTEST_SEED:
        sizes.append(size)
        size //= 2
    sizes.append(min(_SHORTEST_SEED, length))
    return np.array([(start, start + size) for size in sizes for start in range(length - size + 1)])


def _near(squares: np.ndarray, cutoff: float) -> np.ndarray:
    """Shape (S, L), bool: the residues within the cutoff, and the three nearest where they are fewer."""
    near = squares < cutoff**2
    few = np.nonzero(near.sum(axis=1) < 3)[0]
    nearest = np.argsort(squares[few], axis=1)[:, :3]
    near[few[:, None], nearest] = True
    return near


def _untried(chosen: np.ndarray, done: set[bytes]) -> np.ndarray:
    """The rows that were not tried before, each once; notes them as tried."""
    index_of = {row.tobytes(): index for index, row in enumerate(np.packbits(chosen, axis=1))}
    fresh = [index for key, index in index_of.items() if key not in done]
    done.update(index_of)
    return chosen[fresh]


def _sums(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Shape (L, 17): 1, x, y, x y^T and |x|^2 + |y|^2 of each residue.

    Their sums over a set of residues give its superposition, and the squared distances under any superposition are
    linear in them, so that both come as one matrix product for many superpositions at once.
    """
    products = (x[:, :, None] * y[:, None, :]).reshape(len(x), 9)
    squares = (x**2).sum(axis=1, keepdims=True) + (y**2).sum(axis=1, keepdims=True)
    return np.concatenate([np.ones((len(x), 1)), x, y, products, squares], axis=1)


def _squared_distances(sums: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Shape (S, L): of all residues, superposed on those chosen (S, L)."""
    totals = chosen.astype(np.float64) @ sums
    count = totals[:, :1]
    x, y = totals[:, 1:4] / count, totals[:, 4:7] / count
    covariances = totals[:, 7:16].reshape(-1, 3, 3) - count[:, :, None] * x[:, :, None] * y[:, None, :]
    turns = rotations(covariances)
    shifts = y - np.einsum("sab,sb->sa", turns, x)
    # |R x + t - y|^2 = |x|^2 + |y|^2 + |t|^2 + 2 (R^T t) x - 2 t y - 2 sum_ab R_ba x_a y_b
    coefficients = np.concatenate(
        [
            (shifts**2).sum(axis=1, keepdims=True),
            2 * np.einsum("sba,sb->sa", turns, shifts),
            -2 * shifts,
            -2 * np.swapaxes(turns, 1, 2).reshape(-1, 9),
            np.ones_like(count),
        ],
        axis=1,
    )
    return np.maximum(coefficients @ sums.T, 0)
