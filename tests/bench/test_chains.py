from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import chains
from lowmem_fold.bench.chains import KNOWN_LENGTHS, chain_of, known_chains

ORIGINALS = Path(__file__).parents[2] / "benchmarks" / "data"


def test_the_chains_are_those_of_benchmarks() -> None:
    pytest.importorskip("biotite", reason="structures are read with biotite")
    for known, original in zip(known_chains(), chains.structures(), strict=True):
        assert (known.id, known.sequence) == (original.id, original.sequence)
        np.testing.assert_array_equal(known.atom_mask, original.atom_mask)
        np.testing.assert_allclose(known.positions, original.positions, rtol=0, atol=1e-5)


def test_known_chains_are_folded_at_their_own_length() -> None:
    assert tuple(structure.length for structure in known_chains()) == KNOWN_LENGTHS
    for length in KNOWN_LENGTHS:
        sequence, structure = chain_of(length)
        assert structure is not None and sequence == structure.sequence and len(sequence) == length


@pytest.mark.parametrize("length", [1, 64, 256, 300, 2048])
def test_other_lengths_are_real_sequence_without_a_structure(length: int) -> None:
    fasta = (ORIGINALS / "ts50.fasta").read_text().split(">")[1:]
    of_id = {record.split()[0]: "".join(record.split("\n")[1:]) for record in fasta}
    ca2 = known_chains()[-1]
    row = ca2.sequence + of_id["1h4aX"] + of_id["2gu3A"] + of_id["3a4rA"]
    sequence, structure = chain_of(length)
    assert structure is None and len(sequence) == length
    assert (row * 10).startswith(sequence)
