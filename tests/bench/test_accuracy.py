from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scipy.special import softmax
from scipy.stats import binom, entropy

from lowmem_fold.bench.accuracy import against_experiment, bootstrap_interval, compare, summary
from lowmem_fold.bench.chains import known_chains
from lowmem_fold.errors import InputError
from lowmem_fold.predictions.structures import Structure

pytest.importorskip("biotite", reason="structures are read with biotite")
KNOWN = known_chains()[0]
PERFECT = {
    "ca_rmsd_angstrom": 0,
    "all_atom_rmsd_angstrom": 0,
    "tm_score": 1,
    "lddt_ca": 1,
    "plddt_difference": 0,
    "pae_error_angstrom": 0,
    "distogram_kl_nats": 0,
}


def outputs(seed: int, sigma: float) -> dict[str, Any]:
    """The known structure, moved and disturbed, with confidences of no meaning."""
    rng = np.random.default_rng(seed)
    positions = KNOWN.positions + rng.normal(0, sigma, KNOWN.positions.shape)
    positions = positions @ Rotation.from_quat(rng.normal(size=4)).as_matrix().T + 20
    positions[~KNOWN.atom_mask] = 0
    length = KNOWN.length
    return {
        "positions": positions.astype(np.float32),
        "plddt": rng.uniform(0, 100, length),
        "ptm": rng.uniform(),
        "pae": rng.uniform(0, 30, (length, length)),
        "distogram_logits": rng.normal(0, 2, (length, length, 64)).astype(np.float32),
    }


def test_a_prediction_does_not_differ_from_itself() -> None:
    made = outputs(0, 0.5)
    assert compare(made, made) == pytest.approx(PERFECT, abs=1e-5)


def test_each_difference_is_worked_out_again() -> None:
    first, second = outputs(0, 1.0), outputs(1, 1.0)
    found = compare(first, second)
    assert found.keys() == PERFECT.keys()
    ours, theirs = (made["positions"][:, 1] - made["positions"][:, 1].mean(axis=0) for made in (first, second))
    rotation, distance = Rotation.align_vectors(theirs, ours)
    assert found["ca_rmsd_angstrom"] == pytest.approx(distance / np.sqrt(len(ours)), rel=1e-5)
    everything = [made["positions"][KNOWN.atom_mask] - made["positions"][:, 1].mean(axis=0) for made in (first, second)]
    left = rotation.apply(everything[0]) - everything[1]
    assert found["all_atom_rmsd_angstrom"] == pytest.approx(np.sqrt((left**2).sum(axis=1).mean()), rel=1e-5)
    assert found["plddt_difference"] == pytest.approx(first["plddt"].mean() - second["plddt"].mean())
    assert found["pae_error_angstrom"] == pytest.approx(np.abs(first["pae"] - second["pae"]).mean())
    of_bins = [softmax(made["distogram_logits"].astype(float), axis=-1) for made in (second, first)]
    assert found["distogram_kl_nats"] == pytest.approx(entropy(*of_bins, axis=-1).mean())
    assert 0.3 < found["tm_score"] < 1
    assert 0.3 < found["lddt_ca"] < 1


def test_chains_of_two_lengths_are_not_compared() -> None:
    made = outputs(0, 0.5)
    shorter = made | {"positions": made["positions"][:70]}
    with pytest.raises(InputError, match="the reference has 79 atoms, the prediction 70"):
        compare(shorter, made)


def test_the_experiment_predicts_itself() -> None:
    found = against_experiment(outputs(0, 0.0), KNOWN)
    names = ("tm_score", "lddt_ca", "gdt_ts", "contact_precision", "contact_recall", "contact_f1")
    assert found == pytest.approx(dict.fromkeys(names, 1.0), abs=1e-5)


def test_residues_that_the_experiment_did_not_see_count_for_nothing() -> None:
    made = outputs(0, 1.0)
    lost = Structure(KNOWN.id, KNOWN.sequence, KNOWN.positions.copy(), KNOWN.atom_mask.copy())
    lost.atom_mask[30:40], lost.positions[30:40] = False, 0
    far = made | {"positions": made["positions"].copy()}
    far["positions"][30:40] += 500
    assert against_experiment(far, lost) == against_experiment(made, lost)
    assert against_experiment(made, lost)["gdt_ts"] != against_experiment(made, KNOWN)["gdt_ts"]
    assert against_experiment(far, KNOWN)["gdt_ts"] < against_experiment(made, KNOWN)["gdt_ts"] - 0.05


def test_contacts_that_are_not_there_are_left_out() -> None:
    straight = np.zeros((20, 37, 3), dtype=np.float32)
    straight[:, :, 0] = 3.8 * np.arange(1, 21)[:, None]
    chain = Structure("straight", "A" * 20, straight, np.ones((20, 37), dtype=bool))
    assert against_experiment({"positions": straight}, chain).keys() == {"tm_score", "lddt_ca", "gdt_ts"}


# --- of many


def test_interval_of_the_median_is_that_of_the_binomial_distribution() -> None:
    """With many draws the bootstrap of a median is known: its order statistics have binomial weights."""
    values = np.sort(np.random.default_rng(0).normal(0, 1, 101))
    # P(median of the resample <= k-th value) is P(at least 51 of 101 draws fall on the first k values).
    below = binom.sf(50, 101, np.arange(1, 102) / 101)
    expected = values[np.searchsorted(below, [0.025, 0.975])]
    assert bootstrap_interval(list(values)) == pytest.approx(expected, abs=0.05)
    assert bootstrap_interval(list(values)) == bootstrap_interval(list(values))
    assert bootstrap_interval([3.0]) == (3.0, 3.0)


@pytest.mark.parametrize(
    ("name", "worst"), [("experiment_tm_score", 0.1), ("fp32_plddt_difference", -4.0)], ids=["score", "difference"]
)
def test_worst_is_the_smallest_score_or_the_largest_difference(name: str, worst: float) -> None:
    values = [0.5, 0.1, 0.9] if worst == 0.1 else [1.0, -4.0, 3.0]
    found = summary(name, values)
    assert (found.median, found.worst) == (np.median(values), worst)
    assert found.interval == bootstrap_interval(values)
