"""Small models and tokens that tests compare stock and ours on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from unittest.mock import patch

import torch
from torch import Tensor
from transformers import EsmForProteinFolding

from lowmem_fold.bench.fidelity import ours, stock
from lowmem_fold.bench.models import random_model, small_config
from lowmem_fold.esmfold import engine
from lowmem_fold.esmfold.engine import FoldInput


@cache
def small_model(dtype: torch.dtype = torch.float32, seed: int = 0) -> EsmForProteinFolding:
    return random_model(small_config(), seed).to(dtype)


@dataclass
class Pass:
    """Where a pass through the trunk ends; with n recycles, pass n is the last."""

    pair_state: Tensor
    frames: Tensor
    positions: Tensor


def passes(model: EsmForProteinFolding, record: FoldInput, num_recycles: int) -> tuple[list[Pass], list[Pass]]:
    """Each pass of one run, ours and stock's."""
    found, expected = [], []

    def recorded(trunk, s, z, *rest):
        structure = predict(trunk, s, z, *rest)
        found.append(Pass(z.clone(), structure.frames, structure.positions))
        return structure

    def hook(module, inputs, output):
        # The pair state comes in projected; its origin is the last block's output.
        expected.append(Pass(pair_states[-1][0], output["frames"][-1, 0], output["positions"][-1, 0]))

    predict, pair_states = engine.predict_structure, []
    with patch.object(engine, "predict_structure", recorded):
        ours(model, record, num_recycles)
    last_block = model.trunk.blocks[-1]
    hooks = [
        last_block.register_forward_hook(lambda _, __, output: pair_states.append(output[1])),
        model.trunk.structure_module.register_forward_hook(hook),
    ]
    stock(model, record, num_recycles)
    for handle in hooks:
        handle.remove()
    return found, expected


def sampled_fingerprint(folder: Path) -> str:
    """What records of earlier commits hold of a model in one file, whose first and last MiB alone were hashed then."""
    data = (folder / "model.safetensors").read_bytes()
    parts = (folder / "config.json").read_bytes(), b"model.safetensors %d" % len(data), data[: 2**20], data[-(2**20) :]
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]
