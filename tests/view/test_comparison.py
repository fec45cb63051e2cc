"""Comparisons beside scipy's superposition and plain formulas; what cannot be compared is refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import lowmem_fold as lf
from lowmem_fold.errors import InputError
from lowmem_fold.metrics import lddt, tm_score
from lowmem_fold.predictions.structures import Structure
from lowmem_fold.sequences.residues import ATOM_ORDER
from tests.view.structures import TS50, known, predicted, turned

CA = ATOM_ORDER["CA"]


@pytest.fixture(scope="module")
def structure():
    return known("3a4rA")


@pytest.fixture(scope="module")
def shaken(structure):
    """Each atom moved by a random step, and the whole turned."""
    steps = np.random.default_rng(0).normal(0, 1.5, (structure.length, 1, 3))
    return predicted(structure, 30, positions=turned(structure.positions + steps))


def test_a_structure_is_itself_wherever_it_lies(structure):
    comparison = lf.compare(predicted(structure, positions=turned(structure.positions)), predicted(structure))
    assert comparison.ca_rmsd_angstrom < 1e-3 and comparison.distance.max() < 1e-2
    assert (comparison.tm_score, comparison.lddt_ca) == (pytest.approx(1), pytest.approx(1))
    there = structure.atom_mask
    np.testing.assert_allclose(comparison.moved.positions[there], structure.positions[there], atol=2e-3)


def test_scipy_superposes_the_same(structure, shaken):
    comparison = lf.compare(shaken, predicted(structure, 30))
    ours, theirs = (each.astype(np.float64) for each in (shaken.positions[:, CA], structure.positions[:, CA]))
    fit, _ = Rotation.align_vectors(theirs - theirs.mean(axis=0), ours - ours.mean(axis=0))
    laid = fit.apply(ours - ours.mean(axis=0)) + theirs.mean(axis=0)
    distance = np.linalg.norm(laid - theirs, axis=1)
    np.testing.assert_allclose(comparison.distance, distance, atol=1e-5)
    assert comparison.ca_rmsd_angstrom == pytest.approx(np.sqrt((distance**2).mean()))
    np.testing.assert_allclose(comparison.moved.positions[:, CA], laid, atol=1e-3)
    assert comparison.tm_score == tm_score(ours, theirs)
    only = slice(None), slice(CA, CA + 1)
    assert comparison.lddt_ca == pytest.approx(
        lddt(shaken.positions[only], structure.positions[only], structure.atom_mask[only])
    )
    assert np.nanmean(comparison.local_lddt) == pytest.approx(comparison.lddt_ca, abs=0.02)


def test_an_experiment_that_did_not_see_all(structure):
    """Residues are found by their sequence, not by their place; ends and a loop are missing."""
    seen = np.r_[5:40, 46:75]
    letters = "".join(structure.sequence[row] for row in seen)
    part = Structure("part", letters, structure.positions[seen], structure.atom_mask[seen])
    comparison = lf.compare(predicted(structure, positions=turned(structure.positions)), part)
    assert set(comparison.moved_rows) <= set(seen) and len(comparison.moved_rows) >= len(seen) - 2
    assert comparison.ca_rmsd_angstrom < 1.5 and np.median(comparison.distance) < 0.5
    assert comparison.moved.length == 79 and comparison.reference.length == len(seen)


def test_files(structure, tmp_path):
    """As they are read without a path; B-factors are the pLDDT of a written prediction."""
    ours = predicted(structure, 30)
    ours.save(tmp_path, format="both")
    for name in ("3a4rA.pdb", "3a4rA.cif"):
        comparison = lf.compare(tmp_path / name, TS50 / "3a4rA.pdb.gz")
        assert comparison.ca_rmsd_angstrom < 1e-2 and comparison.moved.chains == ours.chains
        np.testing.assert_allclose(comparison.moved.plddt, ours.plddt, atol=0.006)
        assert comparison.reference.id == "3a4rA" and np.isnan(comparison.reference.ptm)


def test_water_and_ligands_are_left_out(structure, tmp_path):
    """Calcium's atom is named CA as well."""
    lines = predicted(structure).to_pdb().splitlines()[:-1]
    lines += [
        "HETATM 9001 CA    CA A 901      10.000  10.000  10.000  1.00 20.00          CA",
        "HETATM 9002  O   HOH A 902      12.000  10.000  10.000  1.00 20.00           O",
        "HETATM 9003  O   HOH W   1      14.000  10.000  10.000  1.00 20.00           O",
        "END",
    ]
    (tmp_path / "a.pdb").write_text("\n".join(lines) + "\n")
    comparison = lf.compare(tmp_path / "a.pdb", structure)
    assert comparison.moved.chains == (structure.sequence,) and comparison.moved.id == "a"


def test_names_and_what_is_said(structure, shaken):
    comparison = lf.compare(shaken, predicted(structure, 30), names=("int8", "fp32"))
    assert comparison.title == "int8 on fp32"
    assert repr(comparison).startswith("<int8 on fp32: 79 residues, CA-RMSD ")
    assert f"TM-score {comparison.tm_score:.3f}" in comparison.summary


def test_plot(structure, shaken):
    comparison = lf.compare(shaken, predicted(structure, 30, plddt=np.full(79, 50.0, np.float32)), names=("a", "b"))
    distance, local, plddt = comparison.plot().axes
    np.testing.assert_allclose(distance.lines[0].get_ydata(), comparison.distance)
    np.testing.assert_allclose(local.lines[0].get_ydata(), comparison.local_lddt)
    np.testing.assert_allclose(plddt.lines[0].get_ydata(), shaken.plddt)
    assert [text.get_text() for text in plddt.get_legend().get_texts()] == ["a", "b"]
    assert [line.get_xdata()[0] for line in distance.lines[1:]] == [30.5]


def test_plot_beside_an_experiment(structure):
    """No pLDDT is drawn of it, and the line breaks where it saw nothing."""
    seen = np.r_[0:40, 46:79]
    letters = "".join(structure.sequence[row] for row in seen)
    part = Structure("part", letters, structure.positions[seen], structure.atom_mask[seen])
    distance, _ = lf.compare(part, predicted(structure)).plot().axes
    values = distance.lines[0].get_ydata()
    assert len(values) == 79 and 6 <= np.isnan(values).sum() <= 8


def test_still_picture(structure, shaken):
    figure = lf.compare(shaken, predicted(structure, 30), names=("a", "b")).plot_structure()
    (legend,) = figure.legends
    assert legend.get_texts()[-1].get_text() == "b" and figure.get_suptitle().startswith("a on b\n79 residues")


@pytest.mark.parametrize("other", ["1ahsA", "2xdgA"])
def test_another_protein(structure, other):
    with pytest.raises(InputError, match=f"3a4rA and {other} are not of one protein"):
        lf.compare(structure, known(other))


def test_two_residues(structure):
    two = Structure("two", structure.sequence[:2], structure.positions[:2], structure.atom_mask[:2])
    with pytest.raises(InputError, match="2 residues with CA in common"):
        lf.compare(two, two)


def test_wrong_files(tmp_path):
    (tmp_path / "a.cif").write_text("nothing\n")
    (tmp_path / "b.pdb").write_text("HETATM 9002  O   HOH A 902      12.000  10.000  10.000  1.00 20.00           O\n")
    for name, reason in [
        ("a.cif", "cannot be read"),
        ("b.pdb", "no residue with N, CA and C"),
        ("c.pdb", "cannot be read"),
    ]:
        with pytest.raises(InputError, match=rf"{name}: {reason}"):
            lf.compare(tmp_path / name, tmp_path / name)
