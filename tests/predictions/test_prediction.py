"""A prediction's summaries against plain loops, its judgement on real and on spoiled structures, and what it saves."""

from __future__ import annotations

import dataclasses
import json
import re
from io import StringIO
from pathlib import Path

import numpy as np
import pytest

from lowmem_fold.errors import InputError, LowmemFoldError
from lowmem_fold.predictions.prediction import Prediction
from lowmem_fold.predictions.structures import read_pdb
from lowmem_fold.sequences.residues import existing_atoms

CIFFile = pytest.importorskip("biotite.structure.io.pdbx").CIFFile
TS50 = Path(__file__).parents[2] / "benchmarks" / "data" / "ts50"


def make_prediction(*chains: str, seed: int = 0, **changes) -> Prediction:
    """Chains as zigzags of 3.8 Angstrom steps along x, with random side chains and confidence."""
    rng = np.random.default_rng(seed)
    sequence = "".join(chains)
    length = len(sequence)
    positions = rng.normal(0, 1.5, (length, 37, 3)).astype(np.float32)
    steps = np.arange(length)
    positions += np.stack([3.6 * steps, 1.2166 * (steps % 2), 0 * steps], axis=1)[:, None].astype(np.float32)
    positions[:, 1] = np.stack([3.6 * steps, 1.2166 * (steps % 2), 0 * steps], axis=1)
    fields = {
        "id": "test",
        "chains": chains,
        "positions": positions,
        "atom_mask": existing_atoms(sequence),
        "plddt": rng.uniform(20, 99, length).astype(np.float32),
        "atom_plddt": rng.uniform(20, 99, (length, 37)).astype(np.float32),
        "ptm": 0.75,
        "iptm": 0.5 if len(chains) > 1 else None,
        "pae": rng.uniform(0, 31, (length, length)).astype(np.float32),
        "num_passes": 4,
        "chain_pair_iptm": rng.uniform(0, 1, (len(chains), len(chains))).astype(np.float32),
    }
    return Prediction(**{**fields, **changes})


def spoiled(prediction: Prediction, **changes) -> tuple[str, ...]:
    return dataclasses.replace(prediction, **changes).problems()


# In a line, and in a notebook


def test_repr_is_a_line():
    plddt = {"plddt": np.full(5, 81.25, np.float32)}
    one, two = make_prediction("MKTAX", **plddt), make_prediction("MKT", "AX", **plddt, id="a\x1b[2J\nb")
    assert repr(one) == "<Prediction test: 5 residues, 1 chain, mean pLDDT 81.2, pTM 0.750>"
    assert repr(two) == "<Prediction a\\x1b[2J b: 5 residues, 2 chains, mean pLDDT 81.2, pTM 0.750, ipTM 0.500>"


def test_repr_of_what_is_no_number():
    assert repr(make_prediction("MKTAX", ptm=float("nan"))).endswith("pTM nan>")


def test_a_notebook_shows_scores_and_structure():
    shown = make_prediction("MKT", "AX", id="a<b>")._repr_html_()
    scores, frame, _ = re.split("(?=<iframe)|(?<=</iframe>)", shown)
    assert "a&lt;b&gt;" in scores and "<td>0.750</td><td>0.500</td>" in scores
    assert 'sandbox="allow-scripts allow-downloads"' in frame and "https:" not in frame
    assert 200_000 < len(shown) < 300_000  # 3Dmol.js, compressed


def test_a_notebook_shows_what_cannot_be_drawn():
    """The scores, and why."""
    prediction = make_prediction("MKT", "AX")
    shown = dataclasses.replace(prediction, positions=prediction.positions * np.nan)._repr_html_()
    assert "<iframe" not in shown and "0.750" in shown and "not finite: coordinates" in shown


# Names and numbers


def test_names_and_numbers():
    prediction = make_prediction("MKT", "AX", "G")
    assert (prediction.sequence, prediction.length) == ("MKT:AX:G", 6)
    assert prediction.chain_ids == ("A", "B", "C")
    assert prediction.chain_index.tolist() == [0, 0, 0, 1, 1, 2]
    assert prediction.residue_number.tolist() == [1, 2, 3, 1, 2, 1]


def test_means():
    prediction = make_prediction("WGX", "AR")
    existing = [
        float(prediction.atom_plddt[residue, atom])
        for residue in range(5)
        for atom in range(37)
        if prediction.atom_mask[residue, atom]
    ]
    assert len(existing) == 14 + 4 + 4 + 5 + 11
    assert prediction.mean_atom_plddt == pytest.approx(sum(existing) / len(existing), rel=1e-6)
    assert prediction.mean_plddt == pytest.approx(sum(map(float, prediction.plddt)) / 5, rel=1e-6)
    assert abs(prediction.mean_plddt - prediction.mean_atom_plddt) > 0.1  # else the two could be one


def test_chain_pair_pae():
    prediction = make_prediction("MKT", "AX", "G")
    owner = prediction.chain_index
    expected = [[prediction.pae[owner == a][:, owner == b].mean() for b in range(3)] for a in range(3)]
    table = prediction.chain_pair_pae()
    np.testing.assert_allclose(table, expected, rtol=1e-6)
    assert abs(table[0, 1] - table[1, 0]) > 0.1  # aligned on the first, error in the second
    assert make_prediction("MKT", pae=None).chain_pair_pae() is None


@pytest.mark.parametrize("name", ["positions", "atom_mask", "plddt", "atom_plddt", "pae", "chain_pair_iptm"])
def test_arrays_must_fit_the_chains(name):
    short = getattr(make_prediction("MKT", "AX"), name)[1:]
    with pytest.raises(ValueError, match=rf"{name} .* has shape \({len(short)},.* need \({len(short) + 1},"):
        make_prediction("MKT", "AX", **{name: short})


# Can it be true?


def test_a_plausible_prediction_has_no_problem():
    assert make_prediction("MKTAYIAKQR", "GGSS").problems() == ()


@pytest.mark.parametrize("path", sorted(TS50.glob("*.pdb.gz")), ids=lambda path: path.name[:5])
def test_real_structures_have_no_problem(path):
    chain = read_pdb(path)
    prediction = make_prediction(chain.sequence, positions=chain.positions, atom_mask=chain.atom_mask, ptm=0.9)
    assert prediction.problems() == ()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("name", "reason"),
    [("positions", "coordinates"), ("plddt", "pLDDT"), ("pae", "PAE"), ("ptm", "pTM"), ("iptm", "ipTM")],
    ids=["positions", "plddt", "pae", "ptm", "iptm"],
)
def test_not_finite(name, reason, value):
    prediction = make_prediction("MKTAYIAK", "AX")
    spoil = value
    if name in ("positions", "plddt", "pae"):
        spoil = getattr(prediction, name).copy()
        spoil[(2, 0, 0)[: spoil.ndim]] = value  # the first residues' N, an atom that exists
    assert spoiled(prediction, **{name: spoil})[0] == f"the output is not finite: {reason}"


def test_atoms_that_do_not_exist_do_not_count():
    prediction = make_prediction("MKTAYIAK")
    positions = prediction.positions.copy()
    positions[~prediction.atom_mask] = np.nan
    assert spoiled(prediction, positions=positions) == ()


@pytest.mark.parametrize(
    ("ptm", "plddt", "refused"),
    [(0.999, 40.0, True), (0.99, 69.9, True), (0.999, 70.0, False), (0.9899, 40.0, False)],
    ids=["far", "near", "sure", "not-perfect"],
)
def test_perfect_ptm_with_low_plddt(ptm, plddt, refused):
    prediction = make_prediction("MKTAYIAK", ptm=ptm, plddt=np.full(8, plddt, np.float32))
    assert [reason.startswith("pTM 0.99") for reason in prediction.problems()] == [True] * refused


def stretched(prediction: Prediction, bonds: list[int], by: float) -> np.ndarray:
    """Positions with the residues after each of the bonds moved along x, so that the CA distance there changes."""
    positions = prediction.positions.copy()
    for bond in bonds:
        positions[bond + 1 :, :, 0] += by
    return positions


@pytest.mark.parametrize(
    ("bonds", "refused"), [([0, 1], False), ([3, 5], False), ([0, 1, 2], True)], ids=["2-of-8", "2-apart", "3-of-8"]
)
@pytest.mark.parametrize("by", [1.0, -1.0], ids=["too-far", "too-near"])
def test_broken_chain(bonds, by, refused):
    prediction = make_prediction("MKTAYIAKQ", "GGSS")
    problems = spoiled(prediction, positions=stretched(prediction, bonds, by))
    assert [reason.startswith("chain A is broken: 38%") for reason in problems] == [True] * refused


def test_the_broken_chain_is_named():
    prediction = make_prediction("MKTAYIAKQ", "GGSS")
    (reason,) = spoiled(prediction, positions=stretched(prediction, [9, 10], 5.0))
    assert reason.startswith("chain B is broken: 67%") and "median 8." in reason


@pytest.mark.parametrize("plddt", [20.0, 65.8, 88.0])
@pytest.mark.parametrize(("ptm", "said"), [(0.999, True), (0.99, True), (0.6, False)])
def test_broken_geometry_is_a_problem_at_any_confidence(ptm, said, plddt):
    prediction = make_prediction("MKTAYIAKQ", ptm=ptm, plddt=np.full(9, plddt, np.float32))
    problems = spoiled(prediction, positions=np.zeros_like(prediction.positions))
    of_ptm = f"pTM {ptm:.3f} of a structure that cannot be true (mean pLDDT {plddt:.1f})"
    assert problems == (
        *([of_ptm] * said),
        "chain A is broken: 100% of its consecutive CA atoms are not 3.3 to 4.3 Angstrom apart (median 0.00)",
        "chain A clashes: 100% of its CA atoms are within 2 Angstrom of one that is not a neighbour's",
    )


def test_a_structure_of_unknown_ptm_is_judged_by_its_geometry_alone():
    prediction = make_prediction("MKTAYIAKQ", ptm=float("nan"))
    assert prediction.problems() == ("the output is not finite: pTM",)


def test_chains_may_lie_apart():
    prediction = make_prediction("MKT", "AYI", "GGS")
    assert spoiled(prediction, positions=stretched(prediction, [2, 5], 50.0)) == ()


@pytest.mark.parametrize(
    ("chain", "refused"), [("APAPAPAPA", False), ("PAPAPAPAP", True)], ids=["before-proline", "after-proline"]
)
def test_cis_peptides_only_before_proline(chain, refused):
    positions = np.zeros((9, 37, 3), np.float32)
    positions[1:, 1, 0] = np.cumsum([2.9, 3.8] * 4)
    assert len(make_prediction(chain, positions=positions).problems()) == refused


@pytest.mark.parametrize("chains", [("M",), ("MK",), ("MK", "A")], ids=["1", "2", "2+1"])
def test_shortest_chains_have_no_spacing_to_judge(chains):
    prediction = make_prediction(*chains)
    assert spoiled(prediction, positions=np.zeros_like(prediction.positions)) == ()


def test_missing_ca_atoms_are_not_judged():
    prediction = make_prediction("MKTAYIAKQR")
    mask, positions = prediction.atom_mask.copy(), prediction.positions.copy()
    mask[3:7], positions[3:7] = False, 0
    assert spoiled(prediction, atom_mask=mask, positions=positions) == ()
    assert spoiled(prediction, positions=positions) != ()


# Scores and files


def test_scores():
    prediction = make_prediction("MKT", "AX")
    scores = json.loads(json.dumps(prediction.scores(), allow_nan=False))
    assert scores["id"] == "test" and scores["sequence"] == "MKT:AX" and scores["length"] == 5
    assert scores["chain_ids"] == ["A", "B"] and scores["chain_lengths"] == [3, 2]
    assert scores["mean_plddt"] == pytest.approx(prediction.mean_plddt, abs=1e-4)
    assert scores["mean_atom_plddt"] == pytest.approx(prediction.mean_atom_plddt, abs=1e-4)
    assert (scores["ptm"], scores["iptm"], scores["num_passes"], scores["max_pae"]) == (0.75, 0.5, 4, 31.75)
    np.testing.assert_allclose(scores["plddt"], prediction.plddt, atol=0.0051)
    np.testing.assert_allclose(scores["chain_pair_pae"], prediction.chain_pair_pae(), atol=1e-4)
    np.testing.assert_allclose(scores["chain_pair_iptm"], prediction.chain_pair_iptm, atol=1e-4)
    assert scores["problems"] == []


def test_scores_of_one_chain_have_no_tables_of_chains():
    scores = make_prediction("MKT").scores()
    assert scores["iptm"] is scores["chain_pair_pae"] is scores["chain_pair_iptm"] is None


def test_scores_hold_no_number_that_json_does_not_know():
    prediction = make_prediction("MKT", ptm=float("nan"), plddt=np.array([np.inf, 50, np.nan], np.float32))
    scores = json.loads(json.dumps(prediction.scores(), allow_nan=False))
    assert scores["ptm"] is None and scores["plddt"] == [None, 50, None] and scores["mean_plddt"] is None
    assert len(scores["problems"]) == 1


@pytest.mark.parametrize(
    ("options", "suffixes"),
    [
        ({}, ["pdb", "scores.json"]),
        ({"format": "cif"}, ["cif", "scores.json"]),
        ({"format": "both", "save_pae": True}, ["pdb", "cif", "pae.json", "scores.json"]),
    ],
    ids=["default", "cif", "all"],
)
def test_save(tmp_path, options, suffixes):
    prediction = make_prediction("MKT", "AX")
    folder = tmp_path / "new" / "out"
    written = prediction.save(folder, **options)
    assert written == [folder / f"test.{suffix}" for suffix in suffixes]
    assert sorted(folder.iterdir()) == sorted(written)  # no temporary file stays
    texts = {path.name: path.read_text() for path in written}
    assert json.loads(texts["test.scores.json"]) == json.loads(json.dumps(prediction.scores()))
    assert texts.get("test.pdb", prediction.to_pdb()) == prediction.to_pdb()
    assert texts.get("test.cif", prediction.to_cif()) == prediction.to_cif()


@pytest.mark.parametrize(
    ("changes", "options", "error", "words"),
    [
        ({}, {"format": "mmcif"}, InputError, "unknown format 'mmcif': use one of pdb, cif, both"),
        ({"pae": None}, {"save_pae": True}, InputError, "no PAE"),
        ({"plddt": np.full(5, np.nan)}, {}, LowmemFoldError, "not finite"),
    ],
    ids=["format", "no-pae", "not-finite"],
)
def test_nothing_is_written_when_a_part_cannot_be(tmp_path, changes, options, error, words):
    with pytest.raises(error, match=words):
        make_prediction("MKT", "AX", **changes).save(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_files_of_another_sequence_are_not_replaced_unasked(tmp_path):
    first, second = make_prediction("MKT"), make_prediction("GSHM")
    first.save(tmp_path)
    first.save(tmp_path, format="both")
    with pytest.raises(InputError, match=r"test\.pdb exists already, of another sequence \(MKT\.\.\.\)") as caught:
        second.save(tmp_path)
    assert "fold(sequence, id=...)" in str(caught.value) and "overwrite=True" in str(caught.value)
    assert json.loads((tmp_path / "test.scores.json").read_text())["sequence"] == "MKT"
    second.save(tmp_path, overwrite=True)
    assert json.loads((tmp_path / "test.scores.json").read_text())["sequence"] == "GSHM"


@pytest.mark.parametrize("scores", [None, "", "[]", "{}", '{"sequence": 3}', "[" * 100_000, "\udc80"], ids=str)
def test_files_of_what_is_not_known_are_not_replaced_unasked(tmp_path, scores):
    (tmp_path / "test.pdb").write_text("mine")
    if scores is not None:
        (tmp_path / "test.scores.json").write_bytes(scores.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=r"exists already, of an unknown sequence"):
        make_prediction("MKT").save(tmp_path)
    assert (tmp_path / "test.pdb").read_text() == "mine"


@pytest.mark.parametrize("id", ["../evil", "/abs/x", "a b", "a#b", "a\0b", "\ud800", "x" * 300, "", "nul"], ids=ascii)
def test_ids_that_cannot_be_names_of_files(tmp_path, id):
    prediction = make_prediction("MKT", id=id)
    with pytest.raises(InputError, match="cannot be the name of a file"):
        prediction.save(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    text = prediction.to_cif()
    assert re.match(r"data_[A-Za-z0-9._+=-]+\n", text)  # a blank or a line end would end the name of the block
    assert CIFFile.read(StringIO(text)).block["entity_poly"]["pdbx_seq_one_letter_code"].as_item() == "MKT"


def test_save_where_no_folder_can_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be made a folder"):
        make_prediction("MKT").save(tmp_path / "file")
