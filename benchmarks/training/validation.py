"""Scores on held-out chains while training: quick ones, for the curve and for choosing a checkpoint."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from .data import Batch, Chains, collate
from .forward import Output
from .losses import Truth, lddt_ca, losses

__all__ = ["truth_of", "validate"]


def truth_of(batch: Batch) -> Truth:
    """What a batch's windows look like in truth."""
    if not bool(torch.isfinite(batch.chi).any()):
        return Truth(batch.backbone, batch.mask)
    return Truth(batch.backbone, batch.mask, batch.chi, batch.window(batch.sequence))


@torch.no_grad()
def validate(
    predict: Callable[[Batch], Output],
    chains: Chains,
    count: int,
    longest: int = 160,
    device: str | torch.device = "cpu",
) -> dict[str, float]:
    """Mean losses, lDDT-CA, and the correlation of predicted with measured lDDT-CA over the first `count` clusters.

    Parameters
    ----------
    predict : callable
        Folds a batch.
    longest : int
        Residues taken of a chain.
    """
    sums: dict[str, list[float]] = {}
    measured, predicted = [], []
    for cluster in chains.clusters[:count]:
        batch = collate(chains, [int(cluster[0])], [0], longest).to(torch.device(device))
        output, truth = predict(batch), truth_of(batch)
        for name, value in losses(output, truth, torch.tensor([10.0], device=batch.mask.device)).items():
            sums.setdefault(name, []).append(float(value))
        measured.append(lddt_ca(output.origins[-1], truth.backbone[:, :, 1], truth.mask)[0].cpu().numpy())
        predicted.append(_plddt(output)[0].cpu().numpy())
    means = {name: round(float(np.mean(values)), 4) for name, values in sums.items()}
    pooled = np.corrcoef(np.concatenate(measured), np.concatenate(predicted))[0, 1]
    return {
        "lddt_ca": round(float(np.mean([m.mean() for m in measured])), 4),
        "pearson": round(float(pooled), 4),
        **means,
    }


def _plddt(output: Output) -> torch.Tensor:
    centres = (torch.arange(50, device=output.lddt_logits.device) + 0.5) / 50
    return output.lddt_logits[:, :, 1].float().softmax(-1) @ centres
