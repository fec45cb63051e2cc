"""The table of residues against transformers' copy of AlphaFold's constants, and the dictionary of components."""

from __future__ import annotations

import numpy as np
import pytest

from lowmem_fold.sequences.residues import (
    ATOM_NAMES,
    CHI_ATOMS,
    CHI_IS_SYMMETRIC,
    RESIDUE_ATOMS,
    RESIDUE_LETTERS,
    RESIDUE_NAMES,
    RESIDUE_ORDER,
    UNKNOWN,
    existing_atoms,
)


@pytest.fixture(scope="module")
def constants():
    from transformers.models.esm.openfold_utils import residue_constants

    return residue_constants


def test_orders_are_those_of_the_model(constants):
    assert list(ATOM_NAMES) == constants.atom_types
    assert list(RESIDUE_LETTERS) == constants.restypes_with_x
    assert constants.restype_order_with_x == RESIDUE_ORDER
    assert constants.unk_restype_index == UNKNOWN
    assert [RESIDUE_NAMES[letter] for letter in RESIDUE_LETTERS] == constants.resnames


def test_existing_atoms_are_those_of_the_model(constants):
    known = RESIDUE_LETTERS[:-1]
    np.testing.assert_array_equal(existing_atoms(known), constants.restype_atom37_mask[:20].astype(bool))


def test_chi_angles_are_those_of_the_model(constants):
    for letter, name in RESIDUE_NAMES.items():
        assert [list(atoms) for atoms in CHI_ATOMS[letter]] == constants.chi_angles_atoms.get(name, [])
    periodic = {
        (letter, i) for letter in RESIDUE_LETTERS[:-1] for i in range(4)
        if constants.chi_pi_periodic[RESIDUE_ORDER[letter]][i]
    }  # fmt: skip
    assert periodic == CHI_IS_SYMMETRIC


def test_unknown_residue_has_a_backbone():
    assert [ATOM_NAMES[atom] for atom in np.flatnonzero(existing_atoms("X")[0])] == ["N", "CA", "C", "O"]


@pytest.mark.parametrize("letter", RESIDUE_LETTERS[:-1])
def test_atoms_are_the_heavy_atoms_of_the_component(letter):
    # biotite carries the Chemical Component Dictionary: a residue inside a chain is the component without OXT
    from biotite.structure.info import residue

    component = residue(RESIDUE_NAMES[letter])
    heavy = set(component.atom_name[component.element != "H"]) - {"OXT"}
    assert set(RESIDUE_ATOMS[letter]) == heavy
