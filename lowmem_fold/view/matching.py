"""Which residue of one structure is which of another: by their sequences, chain by chain."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import ceil, exp
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from ..predictions.prediction import Prediction

__all__ = ["least_identical", "matched"]

_LEAST_IDENTITY = 0.3  # below it an alignment of sequences says little of which residue is which
_SHORT, _LONG = 11, 450  # residues between which Rost's curve is defined


class _Alignment(NamedTuple):
    """Rows that stand beside each other, shape (2, n), and how many of them have the same letter."""

    rows: np.ndarray
    same: int


def matched(a: Prediction, b: Prediction) -> np.ndarray:
    """Rows of the residues that are one another, ascending in ``a``: ndarray, shape=(2, n), dtype=int64.

    Structures of the same chains in the same order are matched row by row. Else each chain is matched with the one that
    it has most residues in common with, in whatever order they stand, and the residues of the two by the alignment of
    their sequences; or all residues in a row, where that finds more, as if one of the files does not part its chains.
    Copies of a chain are matched in their order: which of them lies where is not looked at.

    Raises
    ------
    InputError
        The two are not of one protein: their sequences have too little in common (`least_identical`).
    """
    if a.chains == b.chains:
        return np.tile(np.arange(a.length), (2, 1))
    align = cache(_aligned)
    by_chain = _by_chain(a, b, align)
    in_row = align("".join(a.chains), "".join(b.chains))
    shorter = min(a.length, b.length)
    if in_row.same >= least_identical(shorter) and in_row.same > by_chain.same:
        return in_row.rows
    if not by_chain.same:
        raise InputError(
            f"{a.id} and {b.id} are not of one protein: {in_row.same} of {shorter} residues are the same where their "
            f"sequences are aligned, {least_identical(shorter)} would be needed"
        )
    return by_chain.rows


def least_identical(length: int) -> int:
    """How many residues have to be the same in an alignment of this many to tell of one protein.

    The curve above which two natural sequences are of one family (Rost, Protein Eng. 12, 85, 1999: 480 L^(-0.32 (1 +
    e^(-L / 1000))) %, and all up to 11 residues), at least 30 %: of 20 residues 15, of 80 26, of 200 60.
    """
    if length <= _SHORT:
        return length
    counted = min(length, _LONG)
    part = 4.8 * counted ** (-0.32 * (1 + exp(-counted / 1000)))
    return ceil(length * max(part, _LEAST_IDENTITY))


def _by_chain(a: Prediction, b: Prediction, align: Callable[[str, str], _Alignment]) -> _Alignment:
    """The pairs of chains with the most residues in common first, each chain once."""
    pairs = [(i, j, align(ours, theirs)) for i, ours in enumerate(a.chains) for j, theirs in enumerate(b.chains)]
    taken: dict[int, int] = {}
    found = []
    for i, j, alignment in sorted(pairs, key=lambda pair: -pair[2].same):
        enough = alignment.same >= least_identical(min(len(a.chains[i]), len(b.chains[j])))
        if enough and i not in taken and j not in taken.values():
            taken[i] = j
            starts = [[np.flatnonzero(each.chain_index == chain)[0]] for each, chain in ((a, i), (b, j))]
            found.append(_Alignment(alignment.rows + starts, alignment.same))
    if not found:
        return _Alignment(np.zeros((2, 0), np.int64), 0)
    rows = np.concatenate([each.rows for each in found], axis=1)
    return _Alignment(rows[:, rows[0].argsort()], sum(each.same for each in found))


def _aligned(ours: str, theirs: str) -> _Alignment:
    """By the best global alignment with free ends (Needleman-Wunsch; BLOSUM62, gaps cost 10 and 1)."""
    from biotite.sequence import ProteinSequence
    from biotite.sequence.align import SubstitutionMatrix, align_optimal

    sequences = ProteinSequence(ours), ProteinSequence(theirs)
    matrix = SubstitutionMatrix.std_protein_matrix()
    found = align_optimal(*sequences, matrix, gap_penalty=(-10, -1), terminal_penalty=False, max_number=1)
    rows = found[0].trace.T
    rows = rows[:, (rows >= 0).all(axis=0)].astype(np.int64)
    return _Alignment(rows, sum(ours[i] == theirs[j] for i, j in rows.T))
