from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation
from scipy.special import softmax
from scipy.stats import entropy

from lowmem_fold.errors import InputError
from lowmem_fold.metrics import (
    all_atom_rmsd,
    chi_angles,
    chi_errors,
    contact_agreement,
    distogram_kl,
    gdt_ts,
    lddt,
    lddt_per_residue,
    representative_atoms,
    rmsd,
    search,
    superpose,
    tm_score,
    tm_score_d0,
)
from lowmem_fold.predictions.structures import Structure, read_backbones, read_pdb
from lowmem_fold.sequences.residues import ATOM_NAMES, RESIDUE_NAMES

struc = pytest.importorskip("biotite.structure")
DATA = Path(__file__).parents[1] / "benchmarks" / "data"


def chain(name: str) -> Structure:
    return read_pdb(DATA / "ts50" / f"{name}.pdb.gz")


def ca(name: str) -> np.ndarray:
    return chain(name).ca.astype(float)


def moved(points: np.ndarray, seed: int = 0) -> np.ndarray:
    """A random rotation and shift of all points."""
    rng = np.random.default_rng(seed)
    return points @ Rotation.from_quat(rng.normal(size=4)).as_matrix().T + rng.normal(0, 50, 3)


def bent(points: np.ndarray, degrees: float = 40) -> np.ndarray:
    """The second half turned about the middle residue: one superposition cannot serve both halves."""
    middle = len(points) // 2
    turn = Rotation.from_euler("xyz", [degrees, degrees / 2, 0], degrees=True).as_matrix()
    return np.concatenate([points[:middle], (points[middle:] - points[middle]) @ turn.T + points[middle]])


def noisy(points: np.ndarray, sigma: float, seed: int = 0) -> np.ndarray:
    return points + np.random.default_rng(seed).normal(0, sigma, points.shape)


def pair(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Two sets of CA atoms, residue i of one being residue i of the other."""
    kind, _, rest = kind.partition(":")
    first, second = ca(rest.split(",")[0]), ca(rest.split(",")[-1])
    if kind == "chains":  # different folds, cut to one length
        length = min(len(first), len(second))
        return moved(first[:length]), second[:length]
    change = {"bent": bent, "noisy": lambda x: noisy(x, 2.5), "bent-noisy": lambda x: noisy(bent(x, 70), 1.0)}[kind]
    return moved(change(first)), first


# Recorded from tmtools 0.3.0, whose TM-align is given the alignment and so keeps it (Python 3.11, Linux):
#   s = "A" * len(reference); tmtools.tm_align(predicted, reference, s, s, [s, s]).tm_norm_chain2
# The test below repeats it where tmtools is installed.
TM_SCORES = {
    "chains:1ahsA,1bvyF": 0.16025,
    "chains:3gfsA,3gwiA": 0.21541,
    "chains:3a4rA,2cviA": 0.15946,
    "bent:1or4A": 0.62788,
    "bent:2xdgA": 0.63963,
    "noisy:3q4oA": 0.61089,
    "bent-noisy:4dkcA": 0.47292,
    "bent-noisy:3a4rA": 0.47453,
}


@pytest.mark.parametrize("kind", TM_SCORES)
def test_tm_score_is_that_recorded_from_tm_align(kind: str) -> None:
    assert tm_score(*pair(kind)) == pytest.approx(TM_SCORES[kind], abs=5e-4)


@pytest.mark.parametrize("kind", TM_SCORES)
def test_tm_score_is_that_of_tm_align_with_the_alignment_given(kind: str) -> None:
    tmtools = pytest.importorskip("tmtools", reason="tmtools has no wheel for Python 3.13")
    predicted, reference = pair(kind)
    letters = "A" * len(reference)
    expected = tmtools.tm_align(predicted, reference, letters, letters, [letters, letters]).tm_norm_chain2
    assert tm_score(predicted, reference) == pytest.approx(expected, abs=5e-4)


def test_tm_score_by_the_length_of_the_whole_reference() -> None:
    """Of two thirds of the residues, which lie exactly: each counts one in the sum."""
    points = np.random.default_rng(0).normal(0, 10, (60, 3))
    assert tm_score(points, points, length=90) == pytest.approx(60 / 90)
    shaken = points + np.random.default_rng(1).normal(0, 0.5, points.shape)
    squares = ((superpose(shaken, points).apply(shaken) - points) ** 2).sum(axis=1)
    least = (1 / (1 + squares / tm_score_d0(90) ** 2)).sum() / 90
    assert least - 1e-9 <= tm_score(shaken, points, length=90) < least + 0.01


def test_tm_score_needs_the_search() -> None:
    """On a bent chain the superposition of least RMSD is far from the best one."""
    predicted, reference = pair("bent:1or4A")
    squares = ((superpose(predicted, reference).apply(predicted) - reference) ** 2).sum(axis=1)
    as_superposed = (1 / (1 + squares / tm_score_d0(len(reference)) ** 2)).mean()
    assert tm_score(predicted, reference) > as_superposed + 0.05


@pytest.mark.parametrize(
    ("length", "d0"), [(1, 0.5), (15, 0.5), (21, 0.5), (100, 3.652), (257, 5.927)], ids=lambda value: str(value)
)
def test_d0_of_known_lengths(length: int, d0: float) -> None:
    assert tm_score_d0(length) == pytest.approx(d0, abs=1e-3)


def test_search_is_quick_for_257_residues() -> None:
    (anhydrase,) = read_backbones(DATA / "ca2_5Y2S_A.npz")
    predicted = noisy(anhydrase.ca.astype(float), 3)
    start = time.thread_time()  # of the processor: other programs may be running
    tm_score(predicted, anhydrase.ca)
    assert time.thread_time() - start < 0.5  # a tenth of that on one core


# --- superposition and RMSD


def test_superposition_undoes_a_motion() -> None:
    points = ca("1ahsA")
    fit = superpose(moved(points), points)
    np.testing.assert_allclose(fit.apply(moved(points)), points, atol=1e-9)
    assert fit.rmsd == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("kind", ["noisy:3q4oA", "chains:1ahsA,1bvyF", "bent:2xdgA"])
def test_superposition_is_that_of_scipy(kind: str) -> None:
    predicted, reference = pair(kind)
    centers = predicted.mean(axis=0), reference.mean(axis=0)
    rotation, distance = Rotation.align_vectors(reference - centers[1], predicted - centers[0])
    fit = superpose(predicted, reference)
    np.testing.assert_allclose(fit.rotation, rotation.as_matrix(), atol=1e-6)
    assert fit.rmsd == pytest.approx(distance / np.sqrt(len(reference)), rel=1e-6)
    assert rmsd(predicted, reference) == fit.rmsd


def test_a_mirror_image_is_not_superposed_on_its_original() -> None:
    points = ca("1ahsA")
    fit = superpose(points * [1, 1, -1], points)
    assert np.linalg.det(fit.rotation) == pytest.approx(1)
    assert fit.rmsd > 5
    assert tm_score(points * [1, 1, -1], points) < 0.5


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_points_are_superposed(count: int) -> None:
    points = np.array([[0.0, 0, 0], [3.8, 0, 0], [3.8, 3.8, 0]])[:count]
    assert rmsd(moved(points), points) == pytest.approx(0, abs=1e-9)
    assert tm_score(moved(points), points) == pytest.approx(1)
    assert gdt_ts(moved(points), points) == 1


def test_all_atom_rmsd_is_over_the_masked_atoms_after_a_fit_on_ca() -> None:
    known = chain("2xdgA")
    side_chains = np.ones((known.length, 37, 1))
    side_chains[:, 5:] = 3  # the further from the CA, the more: a fit on all atoms would be another
    predicted = known.positions + side_chains * np.random.default_rng(0).normal(0.3, 1.0, known.positions.shape)
    predicted[~known.atom_mask] = 1e6
    first, second = (points.astype(float) - points[:, 1].mean(axis=0) for points in (predicted, known.positions))
    rotation, _ = Rotation.align_vectors(second[:, 1], first[:, 1])
    left = rotation.apply(first[known.atom_mask]) - second[known.atom_mask]
    expected = np.sqrt((left**2).sum() / known.atom_mask.sum())
    assert all_atom_rmsd(predicted, known.positions, known.atom_mask) == pytest.approx(expected, rel=1e-6)
    everywhere = rmsd(predicted[known.atom_mask], known.positions[known.atom_mask])
    assert everywhere < expected - 0.01


# --- GDT-TS


def test_gdt_of_shifted_parts_is_known() -> None:
    """An eighth of the residues each are 1.5, 3 and 6 Angstrom off in all directions, another an eighth far away."""
    points = ca("3gfsA")[:160]
    rng = np.random.default_rng(1)
    directions = rng.normal(size=points.shape)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    order = rng.permutation(160)
    shift = np.zeros(160)
    for part, distance in enumerate((1.5, 3.0, 6.0, 60.0)):
        shift[order[20 * part : 20 * (part + 1)]] = distance
    found = gdt_ts(moved(points + shift[:, None] * directions), points)
    parts = np.array([80, 100, 120, 140]) / 160
    # The half that did not move holds the superposition; turning it a little can win one or two residues more.
    assert parts.mean() <= found <= parts.mean() + 0.02


@pytest.mark.parametrize("kind", ["chains:3a4rA,2cviA", "bent-noisy:3a4rA"])
def test_no_other_optimiser_finds_a_better_gdt(kind: str) -> None:
    """Each cutoff's count, smoothed, is climbed from random rotations about random residues."""
    predicted, reference = pair(kind)
    rng = np.random.default_rng(0)

    def squares(motion: np.ndarray) -> np.ndarray:
        return ((Rotation.from_rotvec(motion[:3]).apply(predicted) + motion[3:] - reference) ** 2).sum(axis=1)

    best = np.zeros(4)
    for start in range(24):
        cutoff = (1.0, 2.0, 4.0, 8.0)[start % 4]
        some = (
            rng.choice(len(reference), 12, replace=False)
            if start % 2
            else rng.integers(len(reference) - 12) + np.arange(12)
        )
        fit = superpose(predicted[some], reference[some])
        motion = np.concatenate([Rotation.from_matrix(fit.rotation).as_rotvec(), fit.translation])
        climbed = minimize(lambda x, c=cutoff: -(1 / (1 + squares(x) / c**2)).sum(), motion, method="BFGS").x
        best = np.maximum(best, [(squares(climbed) <= c**2).mean() for c in (1, 2, 4, 8)])
    assert best.mean() > 0.5 * gdt_ts(predicted, reference), "the other optimiser found nothing to compare with"
    assert best.mean() <= gdt_ts(predicted, reference) + 0.005


# --- lDDT


def plain_lddt(predicted: np.ndarray, reference: np.ndarray, atom_mask: np.ndarray) -> tuple[float, np.ndarray]:
    """By the definition, over the full matrix of atom pairs: the global score and that of each residue."""
    residue = np.nonzero(atom_mask)[0]
    before, after = (
        np.linalg.norm(points[atom_mask][:, None].astype(float) - points[atom_mask][None], axis=-1)
        for points in (reference, predicted)
    )
    near = (before < 15) & (residue[:, None] != residue[None])
    kept = np.mean([np.abs(before - after) < threshold for threshold in (0.5, 1, 2, 4)], axis=0)
    per_residue = [
        (kept * near)[residue == i].sum() / count if (count := near[residue == i].sum()) else np.nan
        for i in range(len(atom_mask))
    ]
    return (kept * near).sum() / near.sum(), np.array(per_residue)


@pytest.mark.parametrize("atoms", [slice(0, 37), slice(1, 2)], ids=["all-atom", "ca"])
def test_lddt_is_that_of_the_definition(atoms: slice) -> None:
    known = chain("3a4rA")
    predicted, mask = moved(noisy(known.positions, 0.8)), known.atom_mask[:, atoms]
    score, per_residue = plain_lddt(predicted[:, atoms], known.positions[:, atoms], mask)
    assert 0.3 < score < 0.9
    assert lddt(predicted[:, atoms], known.positions[:, atoms], mask) == pytest.approx(score, abs=1e-4)
    found = lddt_per_residue(predicted[:, atoms], known.positions[:, atoms], mask)
    assert found.shape == (79,)
    np.testing.assert_allclose(found, per_residue, atol=2e-3)


def test_a_residue_without_atoms_or_neighbours_has_no_lddt() -> None:
    known = chain("3a4rA")
    reference, mask = known.positions.copy(), known.atom_mask.copy()
    mask[10] = False
    reference[70] += 1000
    found = lddt_per_residue(reference, reference, mask)
    assert np.flatnonzero(np.isnan(found)).tolist() == [10, 70]
    np.testing.assert_array_equal(np.delete(found, [10, 70]), 1)


# --- contacts


def test_contacts_are_counted_one_by_one() -> None:
    known = chain("2cviA")
    predicted = noisy(known.positions, 1.5)
    ours, theirs = (representative_atoms(points, known.atom_mask) for points in (predicted, known.positions))
    found: dict[str, set[tuple[int, int]]] = {"ours": set(), "theirs": set()}
    for name, positions in (("ours", predicted), ("theirs", known.positions)):
        for i in range(known.length):
            for j in range(i + 6, known.length):
                a, b = (positions[k, 1 if known.sequence[k] == "G" else 3].astype(float) for k in (i, j))
                if np.sqrt(((a - b) ** 2).sum()) < 8:
                    found[name].add((i, j))
    both = len(found["ours"] & found["theirs"])
    precision, recall, f1 = contact_agreement(ours, theirs)
    assert 0 < both < len(found["theirs"])
    assert precision == pytest.approx(both / len(found["ours"]))
    assert recall == pytest.approx(both / len(found["theirs"]))
    assert f1 == pytest.approx(2 / (1 / precision + 1 / recall))


def test_every_fragment_is_a_seed_of_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []
    extend = search._extend

    def noted(sums, seeds, *rest):
        seen.extend(map(tuple, seeds.tolist()))
        return extend(sums, seeds, *rest)

    monkeypatch.setattr(search, "_extend", noted)
    monkeypatch.setattr(search, "_BATCH_ELEMENTS", 7 * 20)
    tm_score(ca("2cviA")[:20], ca("2xdgA")[:20])
    expected = [(first, first + size) for size in (20, 10, 5, 4) for first in range(20 - size + 1)]
    assert sorted(seen) == sorted(expected)


def test_borders_of_a_contact() -> None:
    """Less than 8 Angstrom, and 6 or more residues apart."""
    far = np.arange(8)[:, None] * [100.0, 0, 0]

    def contacts(second: int, distance: float) -> float:
        points = far.copy()
        points[second] = points[0] + [0, distance, 0]
        return contact_agreement(points, points).f1

    assert contacts(6, 7.999) == contacts(7, 7.999) == 1
    assert np.isnan(contacts(6, 8.0)) and np.isnan(contacts(5, 1.0))


def test_contacts_of_a_straight_chain_are_undefined() -> None:
    straight = np.arange(60)[:, None] * [3.8, 0, 0]
    assert np.isnan(contact_agreement(straight, straight)).all()
    folded = ca("2cviA")[:60]
    precision, recall, f1 = contact_agreement(straight, folded)
    assert np.isnan(precision)
    assert (recall, f1) == (0, 0)


# --- distograms


def test_divergence_of_distograms_is_scipys() -> None:
    rng = np.random.default_rng(0)
    predicted, reference = rng.normal(0, 3, (2, 7, 7, 64)).astype(np.float32)
    expected = entropy(softmax(reference.astype(float), axis=-1), softmax(predicted.astype(float), axis=-1), axis=-1)
    assert distogram_kl(predicted, reference) == pytest.approx(expected.mean(), rel=1e-9)
    assert expected.mean() > 1
    assert distogram_kl(predicted + 500, predicted) == pytest.approx(
        0, abs=1e-6
    )  # a shift is no change, and no overflow
    assert distogram_kl(reference, predicted) != pytest.approx(expected.mean(), rel=1e-3)  # it has a direction


def test_divergence_of_distograms_that_do_not_fit_names_both() -> None:
    logits = np.zeros((3, 3, 64))
    with pytest.raises(InputError, match=r"prediction is \(3, 3, 32\), that of the reference \(3, 3, 64\)"):
        distogram_kl(logits[..., :32], logits)
    for value in (np.nan, np.inf):
        with pytest.raises(InputError, match="not finite"):
            distogram_kl(np.where(np.eye(3)[..., None] > 0, value, logits), logits)


# --- side chains


@pytest.mark.parametrize("name", ["1ahsA", "3t5gB"])
def test_chi_angles_are_biotites(name: str) -> None:
    known = chain(name)
    assert not known.atom_mask.all()
    atoms = struc.array([
        struc.Atom(place, atom_name=ATOM_NAMES[atom], res_name=RESIDUE_NAMES[letter], res_id=i, chain_id="A")
        for i, letter in enumerate(known.sequence)
        for atom, place in enumerate(known.positions[i])
        if known.atom_mask[i, atom]
    ])  # fmt: skip
    measured = chi_angles(known.sequence, known.positions, known.atom_mask)
    np.testing.assert_allclose(measured, struc.dihedral_side_chain(atoms)[:, :4], atol=1e-5)
    assert np.isfinite(measured).sum(axis=0).min() > 3


def test_a_chi_angle_needs_its_atoms() -> None:
    known = chain("1ahsA")
    mask = known.atom_mask.copy()
    residue = known.sequence.index("L")
    mask[residue, ATOM_NAMES.index("CD1")] = False
    before, after = (chi_angles(known.sequence, known.positions, m)[residue] for m in (known.atom_mask, mask))
    assert np.isfinite(before).tolist() == [True, True, False, False]
    assert np.isfinite(after).tolist() == [True, False, False, False]


def test_chi_errors_go_round_the_circle_and_know_like_atoms() -> None:
    degrees = np.radians([[170.0, 100.0, np.nan, np.nan]] * 2)
    others = np.radians([[-170.0, -60.0, np.nan, np.nan]] * 2)
    errors = np.degrees(chi_errors("LF", degrees, others))
    np.testing.assert_allclose(errors[:, :2], [[20, 160], [20, 20]], atol=1e-9)  # chi 2 of F: 180 degrees are none
    np.testing.assert_allclose(chi_errors("LF", others, degrees), chi_errors("LF", degrees, others), atol=1e-12)
    assert np.isnan(errors[:, 2:]).all()


# --- what holds for all of them

CA_METRICS = {
    "rmsd": (rmsd, 0),
    "tm_score": (tm_score, 1),
    "gdt_ts": (gdt_ts, 1),
    "contact_f1": (lambda predicted, reference: contact_agreement(predicted, reference).f1, 1),
}
ATOM_METRICS = {"all_atom_rmsd": (all_atom_rmsd, 0), "lddt": (lddt, 1)}


@pytest.mark.parametrize("name", CA_METRICS)
def test_identity_and_invariance_of_ca_metrics(name: str) -> None:
    metric, perfect = CA_METRICS[name]
    points = ca("1mr1D")
    assert metric(points, points) == pytest.approx(perfect, abs=1e-6)
    assert metric(moved(points), points) == pytest.approx(perfect, abs=1e-6)
    predicted = noisy(points, 2)
    score = metric(predicted, points)
    assert abs(score - perfect) > 0.1
    for seed in range(3):
        assert metric(moved(predicted, seed), points) == pytest.approx(score, abs=1e-6)


@pytest.mark.parametrize("name", ATOM_METRICS)
def test_identity_and_invariance_of_atom_metrics(name: str) -> None:
    metric, perfect = ATOM_METRICS[name]
    known = chain("1mr1D")
    points, mask = known.positions.astype(float), known.atom_mask
    assert metric(moved(points), points, mask) == pytest.approx(perfect, abs=1e-6)
    predicted = noisy(points, 1)
    score = metric(predicted, points, mask)
    assert abs(score - perfect) > 0.1
    for seed in range(3):
        # lDDT goes through float32 in biotite, and a pair may lie on the edge of a bin
        assert metric(moved(predicted, seed), points, mask) == pytest.approx(score, abs=1e-4)


@pytest.mark.parametrize("name", CA_METRICS)
def test_errors_of_ca_metrics_name_both_numbers(name: str) -> None:
    metric, _ = CA_METRICS[name]
    points = ca("1mr1D")
    with pytest.raises(InputError, match="the reference has 96 atoms, the prediction 90"):
        metric(points[:90], points)
    with pytest.raises(InputError, match="no atom to compare"):
        metric(points[:0], points[:0])
    with pytest.raises(InputError, match=r"\(N, 3\) are needed, those of the prediction have shape \(96, 2\)"):
        metric(points[:, :2], points)
    broken = points.copy()
    broken[[3, 7], 0] = np.nan
    with pytest.raises(InputError, match="2 of the 96 atoms of the prediction"):
        metric(broken, points)


@pytest.mark.parametrize("name", ATOM_METRICS)
def test_errors_of_atom_metrics_name_both_numbers(name: str) -> None:
    metric, _ = ATOM_METRICS[name]
    known = chain("1mr1D")
    with pytest.raises(InputError, match="the reference has 96 residues, the prediction 90"):
        metric(known.positions[:90], known.positions, known.atom_mask)
    with pytest.raises(InputError, match=r"mask has shape \(96, 5\), the positions of the prediction \(96, 37, 3\)"):
        metric(known.positions, known.positions, known.atom_mask[:, :5])
    with pytest.raises(InputError, match="no atom to compare"):
        metric(known.positions, known.positions, np.zeros_like(known.atom_mask))
