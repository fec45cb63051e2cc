"""Which chains cannot be true: generated ones of either kind, and measures against plain loops."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from lowmem_fold.predictions.plausibility import geometry_problems, measure_chains


def line(length: int, rise: float) -> np.ndarray:
    """A zigzag of 3.8 Angstrom steps, which advances so many Angstrom a residue."""
    steps = np.arange(length)
    aside = np.sqrt(max(3.8**2 - rise**2, 0))
    return np.stack([rise * steps, aside * (steps % 2), 0 * steps], axis=1)


def screw(length: int, radius: float, degrees: float, rise: float) -> np.ndarray:
    angle = np.deg2rad(degrees) * np.arange(length)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), rise * np.arange(length)], axis=1)


def helix(length: int) -> np.ndarray:
    return screw(length, 2.3, 100, 1.5)


def collagen(length: int) -> np.ndarray:
    """A polyproline II helix of 2.9 Angstrom a residue, whose CA atoms are 3.8 apart."""
    return screw(length, 2.456 / np.sqrt(3), 120, 2.9)


def shifted(points: np.ndarray, *by: float) -> np.ndarray:
    return points + np.array(by)


def ball(length: int, radius: float) -> np.ndarray:
    """A walk of 3.8 Angstrom steps that stays within a radius."""
    rng = np.random.default_rng(0)
    points = [np.zeros(3)]
    while len(points) < length:
        step = rng.normal(size=3)
        point = points[-1] + 3.8 * step / np.linalg.norm(step)
        if np.linalg.norm(point) < radius:
            points.append(point)
    return np.array(points)


def judged(*chains: np.ndarray, exists: np.ndarray | None = None) -> list[str]:
    ca = np.concatenate(chains)
    exists = np.ones(len(ca), dtype=bool) if exists is None else exists
    return geometry_problems(
        ca.astype(np.float32), exists, ["A" * len(chain) for chain in chains], "ABC"[: len(chains)]
    )


def kinds(problems: list[str]) -> list[str]:
    """Chain and verdict of each reason: `A clashes`."""
    words = ("is broken", "clashes", "is too compact", "is too extended")
    return [f"{text.split()[1]} {next(word for word in words if word in text)}" for text in problems]


TWO_POINTS = np.array([[0, 0, 0], [3.8, 0, 0]])[np.arange(1058) % 2]
APART = np.concatenate([helix(100), shifted(helix(100), 0, 0, 1000)])


@pytest.mark.parametrize(
    ("chains", "verdicts"),
    [
        ([TWO_POINTS], ["A clashes", "A is too compact"]),
        ([TWO_POINTS[:12]], ["A clashes"]),
        ([line(1058, 3.8)], ["A is too extended"]),
        ([line(1058, 3.6)], ["A is too extended"]),
        ([line(60, 3.3)], ["A is too extended"]),
        ([line(20, 3.8)], ["A is too extended"]),
        ([screw(1058, 2.0, 108.862, 0)], ["A is broken", "A clashes", "A is too compact"]),
        ([screw(1058, 4.0, 56.72, 0)], ["A clashes", "A is too compact"]),
        ([screw(1058, 30.0, 7.2625, 0)], ["A clashes"]),
        ([np.zeros((4, 3))], ["A is broken", "A clashes"]),
        ([helix(200) * 0.5], ["A is broken"]),
        ([ball(300, 8)], ["A clashes", "A is too compact"]),
        ([APART], ["A is too extended"]),
        ([helix(50), helix(50)], ["A clashes", "B clashes"]),
        ([helix(50), helix(50) + 30, helix(50)[:20] + 30], ["B clashes", "C clashes"]),
        ([helix(50), line(1058, 3.8) + 50], ["B is too extended"]),
    ],
    ids=[
        *("two-points", "two-points-short", "needle", "stretched", "stretched-60", "needle-20", "ring-2", "ring-4"),
        *("ring-30", "one-point", "shrunk", "ball", "torn", "chain-in-chain", "part-in-chain", "chain-2"),
    ],
)
def test_what_cannot_be_true(chains, verdicts):
    problems = judged(*chains)
    assert kinds(problems) == verdicts
    assert all("\n" not in text and any(letter.isdigit() for letter in text) for text in problems)


@pytest.mark.parametrize(
    "chains",
    [
        [helix(4)],
        [helix(1000)],
        [helix(284), shifted(helix(284), 10, 0, 0)],
        [collagen(19)],
        [collagen(1000), shifted(collagen(1000), 8, 0, 0), shifted(collagen(1000), 0, 8, 0)],
        [line(19, 3.8)],
        [line(59, 3.63)],
        [line(200, 3.1)],
        [screw(6, 3.8, 60, 0)],
        [helix(100), shifted(helix(100), 0, 0, 1000)],
    ],
    ids=[
        *("turn", "helix", "coiled-coil", "short-collagen", "collagen", "short-peptide", "extended-peptide"),
        *("long-polyproline", "cyclic-peptide", "chains-apart"),
    ],
)
def test_what_may_be_true(chains):
    assert judged(*chains) == []


def test_reasons_tell_numbers():
    assert judged(TWO_POINTS) == [
        "chain A clashes: 100% of its CA atoms are within 2 Angstrom of one that is not a neighbour's",
        "chain A is too compact: a radius of gyration of 1.9 Angstrom, where 1,058 residues have 18.3 or more",
    ]
    assert judged(line(1058, 3.8)) == [
        "chain A is too extended: a radius of gyration of 1,160.6 Angstrom, where 1,058 residues have at most 977.3"
    ]


def test_missing_atoms_are_left_out():
    """Half of the chain would be in one place; a chain without any atom is not judged."""
    ca = helix(200)
    exists = np.arange(200) % 2 == 0
    ca[~exists] = np.nan
    assert judged(ca) == judged(ca, exists=exists) == judged(np.nan_to_num(ca), exists=exists) == []
    assert kinds(judged(np.nan_to_num(ca))) == ["A is broken", "A clashes"]
    assert judged(np.full((30, 3), np.nan)) == []


@pytest.mark.parametrize("seed", range(4))
def test_measures_against_plain_loops(seed):
    rng = np.random.default_rng(seed)
    chains = [20, 1, 3, 40]
    ca = np.concatenate([ball(n, 6) for n in chains]) + rng.normal(0, 1, (64, 3)) * [2, 1, 1]
    exists = rng.random(64) < 0.9
    owner = np.repeat(np.arange(4), chains)
    measured = measure_chains(ca, exists, ["P" * n for n in chains])
    for chain, found in enumerate(measured):
        rows = [i for i in range(64) if owner[i] == chain and exists[i]]
        clashing = [
            any(
                exists[j] and np.linalg.norm(ca[i] - ca[j]) < 2 and (owner[j] != chain or abs(i - j) > 1)
                for j in range(64)
            )
            for i in rows
        ]
        spacing = [np.linalg.norm(ca[i] - ca[i + 1]) for i in rows if i + 1 in rows]
        center = sum(ca[i] for i in rows) / len(rows)
        assert (found.length, found.ca_count) == (chains[chain], len(rows))
        assert found.clashing == pytest.approx(np.mean(clashing))
        assert found.broken == pytest.approx(sum(not 2.6 <= d <= 4.3 for d in spacing) / max(len(spacing), 1))
        assert not spacing or found.median_spacing == pytest.approx(np.median(spacing))
        radius = np.sqrt(np.mean([np.linalg.norm(ca[i] - center) ** 2 for i in rows]))
        assert found.radius_of_gyration == pytest.approx(radius)
    assert 0 < measured[0].clashing < 1 and 0 < measured[3].broken < 1


def test_rise_of_a_straight_chain_is_its_step():
    (needle,) = measure_chains(line(77, 3.8), np.ones(77, dtype=bool), ["A" * 77])
    assert needle.rise == pytest.approx(3.8)


@pytest.mark.parametrize("ca", [helix(4000), np.zeros((2000, 3)), ball(4000, 30)], ids=["helix", "point", "ball"])
def test_memory_is_for_each_residue_not_for_each_pair(ca):
    length = len(ca)
    tracemalloc.start()
    try:
        measure_chains(ca, np.ones(length, dtype=bool), ["A" * length])
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 400 * length
