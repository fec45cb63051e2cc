"""A folding model of toy widths, and toy training data."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from transformers import EsmForProteinFolding

from benchmarks.training.architecture import Shape, fresh_model, model_config

SHAPE = Shape(
    num_blocks=2,
    sequence_state_dim=24,
    pairwise_state_dim=16,
    sequence_head_width=8,
    pairwise_head_width=8,
    structure_sequence_dim=20,
    structure_pairwise_dim=12,
    structure_blocks=3,
    structure_heads=3,
    ipa_dim=5,
    qk_points=3,
    v_points=4,
    resnet_dim=10,
    lddt_head_hid_dim=8,
)
STEM = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 40}


def tiny_model(seed: int = 0, noise: float = 0.1) -> EsmForProteinFolding:
    """A fresh model whose every weight is then disturbed, so that no layer is still zero."""
    torch.manual_seed(seed)
    model = fresh_model(model_config(SHAPE, STEM))
    model.esm.float().requires_grad_(False)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += noise * torch.randn_like(parameter)
    return model.eval()


def write_chains(
    path: Path, lengths: list[int], clusters: list[str], splits: list[str], seed: int = 0, chi: bool = False
) -> np.ndarray:
    """Write random walks in the training format; returns their N, CA, C (residues, 3, 3), one chain after another."""
    rng = np.random.default_rng(seed)
    total = sum(lengths)
    deltas = rng.integers(-250, 250, size=(total, 3, 3)).astype(np.int16)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    deltas[starts[:-1], 1] = 0
    letters = np.frombuffer(b"ARNDCQEGHILKMFPSTWYV", dtype=np.uint8)
    side_chains = {"chi": rng.uniform(-3, 3, (total, 4)).astype(np.float16)} if chi else {}
    np.savez(
        path,
        **side_chains,
        ids=np.array([f"{i:04d}_A" for i in range(len(lengths))]),
        lengths=np.array(lengths, dtype=np.int32),
        cluster=np.array(clusters),
        split=np.array(splits),
        sequences=rng.choice(letters, total),
        deltas=deltas,
    )
    return np.concatenate([_walk(deltas[a:b] / 100.0) for a, b in pairwise(starts)])


def _walk(steps: np.ndarray) -> np.ndarray:
    positions, ca = np.zeros_like(steps), np.zeros(3)
    for i, (n, step, c) in enumerate(steps):
        ca = ca + step
        positions[i] = ca + n, ca, ca + c
    return positions
