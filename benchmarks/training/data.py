"""The training chains: read from the npz that `prepare` makes, drawn by cluster, cropped, padded into batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from lowmem_fold.errors import InputError
from lowmem_fold.sequences.residues import RESIDUE_LETTERS

__all__ = ["Batch", "Chains", "collate", "draw_batch"]

_AATYPE = np.full(256, 20, dtype=np.int64)
for _index, _letter in enumerate(RESIDUE_LETTERS):
    _AATYPE[ord(_letter)] = _index


@dataclass
class Batch:
    """Whole sequences for the stem and one window of each for the trunk: B chains, S and L residues after padding."""

    sequence: Tensor  # int64 (B, S)
    sequence_mask: Tensor  # bool (B, S)
    start: Tensor  # int64 (B,) first residue of the window
    mask: Tensor  # bool (B, L)
    backbone: Tensor  # float32 (B, L, 3, 3) Angstrom, centred
    chi: Tensor  # float32 (B, L, 4) radians, NaN where not known

    def to(self, device: torch.device) -> Batch:
        """The batch on another device."""
        return Batch(**{name: value.to(device, non_blocking=True) for name, value in vars(self).items()})

    def window(self, values: Tensor) -> Tensor:
        """The window's part (B, L, ...) of per-residue values (B, S, ...); padding repeats some residue."""
        index = self.start[:, None] + torch.arange(self.mask.shape[1], device=values.device)
        index = index.clamp(max=values.shape[1] - 1)
        return values[torch.arange(len(values), device=values.device)[:, None], index]


class Chains:
    """The chains of one split, in memory in the file's compact form.

    Parameters
    ----------
    path : str or Path
        The npz.
    split : str
        "train" or "val".

    Raises
    ------
    InputError
        The file is missing or lacks an entry.
    """

    def __init__(self, path: str | Path, split: str):
        try:
            with np.load(path) as file:
                data = {name: file[name] for name in ("ids", "lengths", "cluster", "split", "sequences", "deltas")}
                data.update({name: file[name] for name in ("chi",) if name in file})
        except (OSError, KeyError, ValueError, BadZipFile) as error:
            raise InputError(
                f"{path}: not the training data that benchmarks.training.prepare writes ({error})"
            ) from error
        self.ids, self.lengths = data["ids"], data["lengths"].astype(np.int64)
        self._sequences, self._deltas, self._chi = data["sequences"], data["deltas"], data.get("chi")
        self._starts = np.concatenate([[0], np.cumsum(self.lengths)])
        chosen = np.flatnonzero(data["split"] == split)
        _, member = np.unique(data["cluster"][chosen], return_inverse=True)
        order = np.argsort(member, kind="stable")
        self.clusters = np.split(chosen[order], np.flatnonzero(np.diff(member[order])) + 1)

    def aatype(self, chain: int) -> np.ndarray:
        """Residue types int64 (length,) of a chain, in AlphaFold's order."""
        return _AATYPE[self._sequences[self._starts[chain] : self._starts[chain + 1]]]

    def backbone(self, chain: int) -> np.ndarray:
        """N, CA, C positions float32 (length, 3, 3) of a chain, Angstrom."""
        deltas = self._deltas[self._starts[chain] : self._starts[chain + 1]]
        ca = np.cumsum(deltas[:, 1], axis=0, dtype=np.int64)  # beyond int16 in a long chain
        return (np.stack([ca + deltas[:, 0], ca, ca + deltas[:, 2]], axis=1) * 0.01).astype(np.float32)

    def chi(self, chain: int) -> np.ndarray:
        """Chi angles float32 (length, 4) of a chain, radians; NaN where not known, as all of a bare backbone's."""
        if self._chi is None:
            return np.full((self.lengths[chain], 4), np.nan, dtype=np.float32)
        return self._chi[self._starts[chain] : self._starts[chain + 1]].astype(np.float32)


def draw_batch(chains: Chains, *, step: int, size: int, crop: int, seed: int) -> Batch:
    """The batch of a step: a pure function of its arguments, so that a resumed run sees what it would have seen.

    Clusters come in a new order each epoch, each once, a random member standing for it; the window lies anywhere.
    """
    rng = np.random.default_rng([seed, step])
    members = [rng.choice(chains.clusters[cluster]) for cluster in _clusters(chains, step, size, seed)]
    starts = [int(rng.integers(max(1, chains.lengths[chain] - crop + 1))) for chain in members]
    return collate(chains, members, starts, crop)


def _clusters(chains: Chains, step: int, size: int, seed: int) -> Iterator[int]:
    count = len(chains.clusters)
    for draw in range(step * size, (step + 1) * size):
        epoch, place = divmod(draw, count)
        yield int(_order(count, seed, epoch)[place])


_ORDERS: dict[tuple[int, int, int], np.ndarray] = {}


def _order(count: int, seed: int, epoch: int) -> np.ndarray:
    key = (count, seed, epoch)
    if key not in _ORDERS:
        _ORDERS[key] = np.random.default_rng([seed, epoch, count]).permutation(count)
    return _ORDERS[key]


def collate(chains: Chains, members: Sequence[int], starts: Sequence[int], crop: int) -> Batch:
    """Pad chains into a batch; the window is as long as the longest crop, at most `crop`."""
    lengths = [int(chains.lengths[chain]) for chain in members]
    width = min(crop, max(lengths))
    sequence = torch.full((len(members), max(lengths)), 20)
    backbone = torch.zeros(len(members), width, 3, 3)
    chi = torch.full((len(members), width, 4), torch.nan)
    mask = torch.zeros(len(members), width, dtype=torch.bool)
    for row, (chain, start) in enumerate(zip(members, starts, strict=True)):
        sequence[row, : lengths[row]] = torch.from_numpy(chains.aatype(chain))
        piece = torch.from_numpy(chains.backbone(chain)[start : start + width])
        backbone[row, : len(piece)] = piece - piece[:, 1].mean(0)
        chi[row, : len(piece)] = torch.from_numpy(chains.chi(chain)[start : start + width])
        mask[row, : len(piece)] = True
    sequence_mask = torch.arange(max(lengths))[None, :] < torch.tensor(lengths)[:, None]
    return Batch(sequence, sequence_mask, torch.tensor(starts), mask, backbone, chi)
