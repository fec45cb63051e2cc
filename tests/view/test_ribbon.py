"""The mesh lies along the CA atoms, is closed, and looks outwards."""

from __future__ import annotations

import numpy as np
import pytest

from lowmem_fold.sequences.residues import ATOM_ORDER
from lowmem_fold.view.ribbon import ribbon
from lowmem_fold.view.secondary import secondary_structure
from tests.view.structures import known, turned

CA = ATOM_ORDER["CA"]


@pytest.fixture(scope="module")
def chain():
    return known("3a4rA")


@pytest.fixture(scope="module")
def mesh(chain):
    return ribbon(chain.positions, chain.atom_mask, np.zeros(chain.length, int))


def test_each_residue_is_drawn_where_it_is(chain, mesh):
    kinds = secondary_structure(chain.positions, chain.atom_mask)
    for row in range(chain.length):
        middle = mesh.corners[mesh.residue == row].mean(axis=(0, 1))
        away = np.linalg.norm(middle - chain.positions[row, CA])
        assert away < (1.6 if kinds[row] == "b" else 1.0), row  # strands are drawn without their pleats


def test_a_strand_and_a_helix_are_wider_than_a_loop(chain, mesh):
    kinds = secondary_structure(chain.positions, chain.atom_mask)

    def width(row):
        corners = mesh.corners[mesh.residue == row].reshape(-1, 3)
        return np.linalg.svd(corners - corners.mean(axis=0))[1][1] / np.sqrt(len(corners))

    by_kind = {kind: np.median([width(row) for row in np.flatnonzero(kinds == kind)]) for kind in "abc"}
    assert by_kind["a"] > 1.5 * by_kind["c"] and by_kind["b"] > 1.5 * by_kind["c"]


def test_the_surface_is_closed(mesh):
    """The volume by the divergence theorem is positive and does not depend on where the origin is; that of an open
    surface, or of one with some faces turned inwards, does."""
    first, second = mesh.corners[:, [0, 1, 2]], mesh.corners[:, [0, 2, 3]]
    triangles = np.concatenate([first, second])

    def volume(corners):
        return np.linalg.det(corners).sum() / 6

    assert volume(triangles) > 79 * 0.5
    assert volume(triangles + 50) == pytest.approx(volume(triangles), rel=1e-6)


def test_normals_are_those_of_the_corners(mesh):
    area = np.cross(mesh.corners[:, 2] - mesh.corners[:, 0], mesh.corners[:, 3] - mesh.corners[:, 1])
    there = np.linalg.norm(area, axis=1) > 1e-6
    np.testing.assert_allclose(np.linalg.norm(mesh.normals[there], axis=1), 1, rtol=1e-6)
    assert (mesh.normals * area).sum(axis=1)[there].min() > 0


def test_it_moves_with_the_structure(chain, mesh):
    positions = turned(chain.positions)
    moved = ribbon(positions, chain.atom_mask, np.zeros(chain.length, int))
    expected = turned(mesh.corners)
    np.testing.assert_allclose(moved.corners, expected, atol=0.02)  # float32 positions, and the loops follow the line


def test_size(chain, mesh):
    thin = ribbon(chain.positions, chain.atom_mask, np.zeros(chain.length, int), size=0.5)
    middle = mesh.corners.mean(axis=1)
    assert np.abs(thin.corners.mean(axis=1) - middle).max() < 1.2
    assert np.linalg.norm(np.ptp(thin.corners[60], axis=0)) < np.linalg.norm(np.ptp(mesh.corners[60], axis=0))


@pytest.mark.parametrize("how", ["missing", "not finite", "other chain", "far"])
def test_it_ends_where_the_chain_does(chain, how):
    positions, mask, index = chain.positions.copy(), chain.atom_mask.copy(), np.zeros(chain.length, int)
    if how == "missing":
        mask[30] = False
    elif how == "not finite":
        positions[30] = np.inf
    elif how == "far":
        positions[31:] += 30
    else:
        index[31:] = 1
    mesh = ribbon(positions, mask, index)
    gaps = np.linalg.norm(np.diff(mesh.corners.mean(axis=1), axis=0), axis=1)
    ends = chain.positions[29, CA] if how in ("missing", "not finite") else chain.positions[30, CA]
    assert np.linalg.norm(mesh.corners.reshape(-1, 3) - ends, axis=1).min() < 0.1
    assert np.isfinite(mesh.corners).all() and gaps.max() < (60 if how == "far" else 9)
    assert (30 in mesh.residue) is (how in ("other chain", "far"))
    longest = np.linalg.norm(mesh.corners[:, 3] - mesh.corners[:, 0], axis=1).max()
    assert longest < 2.5  # nothing is stretched over the gap


def test_nothing_to_draw():
    mesh = ribbon(np.zeros((1, 37, 3)), np.ones((1, 37), bool), np.zeros(1, int))
    assert len(mesh.residue) == 0 and mesh.corners.shape == (0, 4, 3)
