"""Which residues are compared: chains in any order, pieces of them, and what is too little to tell of one protein."""

from __future__ import annotations

import numpy as np
import pytest

import lowmem_fold as lf
from lowmem_fold.errors import InputError
from lowmem_fold.predictions.prediction import Prediction
from lowmem_fold.predictions.structures import Structure
from lowmem_fold.view.matching import least_identical, matched
from tests.view.structures import known, predicted, turned


def rows_of(whole: Prediction, rows: np.ndarray, *lengths: int) -> Prediction:
    """These residues of a structure, in chains of these lengths."""
    letters = np.array(list("".join(whole.chains)))[rows]
    ends = np.cumsum(lengths)
    chains = tuple("".join(letters[end - length : end]) for end, length in zip(ends, lengths, strict=True))
    arrays = {name: getattr(whole, name)[rows] for name in ("positions", "atom_mask", "plddt", "atom_plddt")}
    return Prediction(f"{whole.id}'", chains, **arrays, ptm=0.5)


@pytest.fixture(scope="module")
def pair() -> Prediction:
    """Two chains, of 79 and 66 residues, that have nothing to do with each other."""
    one, other = known("3a4rA"), known("1ahsA")
    arrays = [np.concatenate([getattr(one, name), getattr(other, name)[:66]]) for name in ("positions", "atom_mask")]
    plddt = np.full(145, 50.0, np.float32)
    return Prediction("pair", (one.sequence, other.sequence[:66]), *arrays, plddt, np.tile(plddt[:, None], 37), 0.5)


def test_chains_in_another_order(pair):
    order = np.r_[79:145, 0:79]
    swapped = rows_of(pair, order, 66, 79)
    found = matched(pair, swapped)
    np.testing.assert_array_equal(found[0], np.arange(145))
    np.testing.assert_array_equal(order[found[1]], found[0])
    comparison = lf.compare(Prediction(**{**vars_of(swapped), "positions": turned(swapped.positions)}), pair)
    assert comparison.ca_rmsd_angstrom < 1e-3 and comparison.tm_score == pytest.approx(1)
    assert "<pair' on pair: 145 residues, " in repr(comparison)


def vars_of(prediction: Prediction) -> dict:
    names = ("id", "chains", "positions", "atom_mask", "plddt", "atom_plddt", "ptm")
    return {name: getattr(prediction, name) for name in names}


def test_a_chain_that_the_other_lacks_is_told_of(pair):
    """And pulls the TM-score down, which is normalised by the reference."""
    alone = rows_of(pair, np.arange(79, 145), 66)
    comparison = lf.compare(alone, pair)
    assert list(comparison.reference_rows) == list(range(79, 145))
    assert comparison.residues == "66 of 145 residues" and "66 of 145 residues, CA-RMSD" in comparison.summary
    assert comparison.unmatched_chains == ((), ("A",))
    assert comparison.tm_score == pytest.approx(66 / 145)
    other_way = lf.compare(pair, alone)
    assert other_way.tm_score == pytest.approx(1) and other_way.unmatched_chains == (("A",), ())


def test_a_file_that_does_not_part_its_chains(pair):
    """All residues in a row find more than the longest of its chains."""
    joined = Structure("joined", "".join(pair.chains), pair.positions, pair.atom_mask)
    assert len(lf.compare(pair, joined).distance) == 145


def test_a_short_piece_of_another_protein():
    """Some alignment of 20 residues with a long chain always has a third of them in common."""
    whole, other = predicted(known("1ahsA")), predicted(known("3a4rA"))
    for start in range(0, 60, 5):
        with pytest.raises(InputError, match=r"not of one protein: \d+ of 20 residues .* 15 would be needed"):
            lf.compare(rows_of(other, np.arange(start, start + 20), 20), whole)
    assert len(lf.compare(rows_of(whole, np.arange(40, 60), 20), whole).distance) == 20


def test_least_identical():
    """By the table of Rost 1999: 80 residues 32 %; all of the shortest; 30 % where the curve is lower. It ends at 450
    residues: beyond 2,000 its formula would rise above 30 % again."""
    lengths = (3, 11, 12, 20, 80, 200, 1000, 5000)
    assert [least_identical(length) for length in lengths] == [3, 11, 12, 15, 26, 60, 300, 1500]
