from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.training.data import Chains, collate, draw_batch
from lowmem_fold.errors import InputError
from tests.benchmarks.training.tiny import write_chains

LENGTHS = [30, 12, 25, 9, 40, 18]
CLUSTERS = ["a", "b", "a", "c", "d", "e"]
SPLITS = ["train", "train", "train", "val", "train", "train"]


@pytest.fixture
def chains(tmp_path: Path) -> tuple[Chains, np.ndarray]:
    positions = write_chains(tmp_path / "chains.npz", LENGTHS, CLUSTERS, SPLITS)
    return Chains(tmp_path / "chains.npz", "train"), positions


def test_positions_are_decoded(chains: tuple[Chains, np.ndarray]) -> None:
    data, positions = chains
    starts = np.concatenate([[0], np.cumsum(LENGTHS)])
    for chain, (start, end) in enumerate(pairwise(starts)):
        np.testing.assert_allclose(data.backbone(chain), positions[start:end], atol=1e-3)


def test_clusters_of_the_split_only(chains: tuple[Chains, np.ndarray]) -> None:
    assert sorted(sorted(cluster.tolist()) for cluster in chains[0].clusters) == [[0, 2], [1], [4], [5]]


def test_a_window_holds_the_chain_it_was_cut_from(chains: tuple[Chains, np.ndarray]) -> None:
    data, _ = chains
    for step in range(6):
        batch = draw_batch(data, step=step, size=3, crop=16, seed=0)
        aatype = batch.window(batch.sequence)
        for row in range(3):
            sequence = batch.sequence[row][batch.sequence_mask[row]].tolist()
            chain = next(i for i in range(len(LENGTHS)) if data.aatype(i).tolist() == sequence)
            start, size = int(batch.start[row]), int(batch.mask[row].sum())
            assert size == min(16, LENGTHS[chain])
            assert aatype[row, :size].tolist() == sequence[start : start + size]
            expected = data.backbone(chain)[start : start + size]
            shift = batch.backbone[row, :size].numpy() - expected
            np.testing.assert_allclose(shift, np.broadcast_to(shift[0, 0], shift.shape), atol=1e-3)


def test_each_cluster_comes_once_an_epoch(chains: tuple[Chains, np.ndarray]) -> None:
    data, _ = chains
    for epoch in range(3):
        seen = []
        for step in (2 * epoch, 2 * epoch + 1):
            batch = draw_batch(data, step=step, size=2, crop=64, seed=3)
            for row in range(2):
                sequence = batch.sequence[row][batch.sequence_mask[row]].tolist()
                chain = next(i for i in range(len(LENGTHS)) if data.aatype(i).tolist() == sequence)
                seen.append(CLUSTERS[chain])
        assert sorted(seen) == ["a", "b", "d", "e"]


def test_a_batch_depends_on_step_and_seed_alone(chains: tuple[Chains, np.ndarray]) -> None:
    data, _ = chains
    first, again = (draw_batch(data, step=5, size=4, crop=10, seed=1) for _ in range(2))
    torch.testing.assert_close(vars(first), vars(again), equal_nan=True)
    other = draw_batch(data, step=6, size=4, crop=10, seed=1)
    assert not torch.equal(first.start, other.start) or first.sequence.shape != other.sequence.shape


def test_chi_angles_go_with_their_residues(chains: tuple[Chains, np.ndarray], tmp_path: Path) -> None:
    assert draw_batch(chains[0], step=0, size=2, crop=10, seed=0).chi.isnan().all()
    write_chains(tmp_path / "side.npz", LENGTHS, CLUSTERS, SPLITS, chi=True)
    with np.load(tmp_path / "side.npz") as file:
        stored = file["chi"].astype(np.float32)
    data = Chains(tmp_path / "side.npz", "train")
    batch = collate(data, [2, 0], [4, 0], crop=28)
    np.testing.assert_array_equal(batch.chi[0, :21], stored[42 + 4 : 42 + 25])
    np.testing.assert_array_equal(batch.chi[1, :28], stored[:28])
    assert batch.chi[0, 21:].isnan().all()


def test_a_missing_file_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        Chains(tmp_path / "nowhere.npz", "train")
