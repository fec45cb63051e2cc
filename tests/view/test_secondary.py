"""Secondary structure beside DSSP's, and what it must not depend on."""

from __future__ import annotations

import numpy as np
import pytest

from lowmem_fold.predictions.structures import read_pdb_folder
from lowmem_fold.sequences.residues import ATOM_ORDER
from lowmem_fold.view.secondary import _in_ladders, hydrogen_bonds, secondary_structure
from tests.view.structures import TS50, known, turned

# `mkdssp --output-format dssp FILE` (4.2.2) of the files of benchmarks/data/ts50: H as a, E as b, all else as c
DSSP = {
    "3a4rA": "cccccccbbbbbbccccccbbbbbbcccccaaaaaaaaaaaacccccccbbbbccbbccccccaaaaccccccbbbbbc",
    "1ahsA": "ccccccccccccccccccccccbbbbbbbccbbbbbbcccbbbbcaaaacccccccccbbbbbbbcccbbcccccbbccccccbbbbccbbbcccccbbb"
    "cccccbbbbbcccccbbbbbbbbbbc",
}


@pytest.mark.parametrize(("name", "bulges"), [("3a4rA", 0), ("1ahsA", 3)])
def test_dssp_says_the_same(name, bulges):
    """DSSP joins ladders over bulges of two residues as well."""
    chain = known(name)
    kinds = "".join(secondary_structure(chain.positions, chain.atom_mask))
    assert len(kinds) == len(DSSP[name])
    differ = [(ours, theirs) for ours, theirs in zip(kinds, DSSP[name], strict=True) if ours != theirs]
    assert len(differ) <= bulges and set(differ) <= {("c", "b")}


def test_it_moves_with_the_structure():
    chain = known("3a4rA")
    moved = secondary_structure(turned(chain.positions), chain.atom_mask)
    assert moved.tolist() == secondary_structure(chain.positions, chain.atom_mask).tolist()


def test_the_energy_of_a_bond_written_out():
    """Every pair of a chain, by the formula in a loop."""
    chain = known("2xdgA")
    n, ca, c, o = (ATOM_ORDER[name] for name in ("N", "CA", "C", "O"))
    x = chain.positions.astype(np.float64)
    expected = set()
    for j in range(1, chain.length):
        if np.linalg.norm(x[j, n] - x[j - 1, c]) > 2.5:
            continue
        away = x[j - 1, c] - x[j - 1, o]
        hydrogen = x[j, n] + away / np.linalg.norm(away)
        for i in range(chain.length):
            if i in (j, j - 1) or np.linalg.norm(x[i, ca] - x[j, ca]) > 9:
                continue
            inverse = [
                1 / np.linalg.norm(x[i, o] - x[j, n]),
                1 / np.linalg.norm(x[i, c] - hydrogen),
                -1 / np.linalg.norm(x[i, o] - hydrogen),
                -1 / np.linalg.norm(x[i, c] - x[j, n]),
            ]
            if 0.084 * 332 * sum(inverse) < -0.5:
                expected.add((i, j))
    assert len(expected) > 20
    assert hydrogen_bonds(chain.positions, chain.atom_mask) == expected


def test_a_bridge_needs_three_residues_between():
    """A ladder that closes upon itself ends where its strands are two residues apart."""
    bonds = {(4, 8), (8, 4), (5, 7), (7, 5)}  # of bridges of the pairs 4, 8 and 5, 7
    assert _in_ladders(bonds) == [4, 8]
    assert _in_ladders({(4, 9), (9, 4), (5, 8), (8, 5)}) == [4, 5, 8, 9]


def test_long_structures_are_looked_at_in_parts(monkeypatch):
    chain = known("1ahsA")
    whole = hydrogen_bonds(chain.positions, chain.atom_mask)
    monkeypatch.setattr("lowmem_fold.view.secondary._ROWS", 7)
    assert hydrogen_bonds(chain.positions, chain.atom_mask) == whole


def test_residues_without_oxygen_or_place_are_loops():
    chain = known("3a4rA")
    mask, positions = chain.atom_mask.copy(), chain.positions.copy()
    mask[:40, ATOM_ORDER["O"]] = False
    positions[45] = np.nan
    kinds = secondary_structure(positions, mask)
    assert set(kinds[:40]) == {"c"} and kinds[45] == "c" and "a" in kinds[40:]


def test_no_real_chain_is_all_loop():
    for chain in read_pdb_folder(TS50)[:20]:
        assert (secondary_structure(chain.positions, chain.atom_mask) != "c").mean() > 0.2, chain.id
