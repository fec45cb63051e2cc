from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.training import controls, evaluate
from benchmarks.training.guess import Guess
from lowmem_fold.bench.records import read_measurements
from lowmem_fold.metrics import chi_angles
from lowmem_fold.predictions.structures import Structure, read_pdb

pytest.importorskip("biotite", reason="structures are read with biotite")
TS50 = Path(__file__).parents[3] / "benchmarks" / "data" / "ts50"
STRUCTURES = [read_pdb(TS50 / f"{name}.pdb.gz") for name in ("1ahsA", "3t5gB", "4gcnA")]


def _disturbed(noise: float, plddt: float) -> Callable[[Structure], Guess]:
    def predict(structure: Structure) -> Guess:
        rng = np.random.default_rng(0)
        ca = structure.ca + rng.normal(scale=noise, size=structure.ca.shape)
        chi = chi_angles(structure.sequence, structure.positions, structure.atom_mask)
        return Guess(ca, chi + rng.normal(scale=noise, size=chi.shape), np.full(structure.length, plddt), plddt / 100)

    return predict


def test_the_truth_scores_one() -> None:
    samples = evaluate.compare(STRUCTURES, _disturbed(0.0, 90.0))
    for name in ("tm_score", "lddt_ca", "chi1_right", "chi12_right"):
        np.testing.assert_allclose(samples[name], 1.0, atol=1e-3)
    assert len(samples["residue_lddt_ca"]) == sum(structure.length for structure in STRUCTURES)


def test_a_confidence_that_follows_the_error_correlates() -> None:
    quality = dict(zip([s.id for s in STRUCTURES], [(0.1, 95), (1.0, 70), (4.0, 30)], strict=True))
    samples = evaluate.compare(STRUCTURES, lambda structure: _disturbed(*quality[structure.id])(structure))
    scores = evaluate.summary(samples)
    assert scores["mean_plddt"] == pytest.approx(65.0)
    assert scores["pearson_proteins"] > 0.95 and scores["pearson_residues"] > 0.8
    for name in ("tm_score", "lddt_ca", "chi1_right", "chi12_right"):
        assert samples[name][0] > samples[name][1] > samples[name][2], name


def test_both_chi_angles_have_to_be_right() -> None:
    def half(structure: Structure) -> Guess:
        chi = chi_angles(structure.sequence, structure.positions, structure.atom_mask)
        chi[:, 1] += np.pi / 2  # wrong for all, like atoms or not
        return Guess(structure.ca, chi)

    scores = evaluate.summary(evaluate.compare(STRUCTURES, half))
    assert (scores["mean_chi1_right"], scores["mean_chi12_right"]) == (1.0, 0.0)
    assert not {"mean_plddt", "pearson_residues", "mean_ptm"} & scores.keys()  # it gave no confidence


def test_the_ideal_helix_is_one() -> None:
    guess = controls.helix(STRUCTURES[0])
    assert guess.ca.shape == STRUCTURES[0].ca.shape
    apart = {n: np.linalg.norm(guess.ca[n:] - guess.ca[:-n], axis=1) for n in (1, 2, 3, 4)}
    for n, distance in {1: 3.8, 2: 5.4, 3: 5.0, 4: 6.2}.items():  # of a helix in any textbook
        np.testing.assert_allclose(apart[n], distance, atol=0.15)
    turn = np.einsum("ni,ni->n", np.cross(guess.ca[1:-2] - guess.ca[:-3], guess.ca[2:-1] - guess.ca[1:-2]),
                     guess.ca[3:] - guess.ca[2:-1])  # fmt: skip
    assert (turn > 0).all()  # right-handed


def test_pairs_are_windows_of_longer_chains() -> None:
    structures = {structure.id: structure for structure in STRUCTURES}
    pairs = controls.draw_pairs(STRUCTURES)
    longest = max(structure.length for structure in STRUCTURES)
    assert len(pairs) == controls.DRAWS * sum(structure.length < longest for structure in STRUCTURES)
    for structure, partner, guess in pairs:
        assert partner != structure.id and guess.ca.shape == structure.ca.shape
        starts = np.flatnonzero((structures[partner].ca == guess.ca[0]).all(axis=1))
        np.testing.assert_array_equal(structures[partner].ca[starts[0] : starts[0] + structure.length], guess.ca)


def test_the_command_records_the_model_and_the_controls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, record = tmp_path / "structures", tmp_path / "record.jsonl"
    folder.mkdir()
    for name in ("1mr1D", "4gcnA"):
        (folder / f"{name}.pdb.gz").write_bytes((TS50 / f"{name}.pdb.gz").read_bytes())
    options = ["--num-recycles", "0", "--device", "cpu", "--controls", "--record", str(record)]
    evaluate.main([str(folder), *options])
    measured = {m.requested["predictor"]: m for m in read_measurements(record)}
    assert list(measured) == ["demo", "random weights", "random pairs", "ideal helix"]
    assert measured["demo"].resolved["chains"] == ["1mr1D", "4gcnA"]
    assert measured["demo"].resolved["lengths"] == [96, 127]
    assert set(measured["random pairs"].resolved["chains"]) == {"1mr1D"}
    for name, measurement in measured.items():
        count = len(measurement.resolved["chains"])
        assert len(measurement.samples["tm_score"]) == count
        assert ("mean_plddt" in measurement.samples) == (name in ("demo", "random weights"))
    assert "4gcnA" in capsys.readouterr().out
