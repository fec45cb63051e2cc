"""Small models and tokens that tests compare stock and ours on."""

from __future__ import annotations

from functools import cache
from unittest.mock import patch

import torch
from transformers import EsmForProteinFolding

from lowmem_fold.bench.fidelity import ours, stock
from lowmem_fold.bench.models import random_model, small_config
from lowmem_fold.esmfold import engine
from lowmem_fold.esmfold.engine import FoldInput


@cache
def small_model(dtype: torch.dtype = torch.float32, seed: int = 0) -> EsmForProteinFolding:
    return random_model(small_config(), seed).to(dtype)


def backbones_of_passes(model: EsmForProteinFolding, record: FoldInput, num_recycles: int) -> tuple[list, list]:
    """Positions of N, CA and C (L, 3, 3) after each pass, ours and stock's."""
    found, expected = [], []

    def recorded(*args):
        structure = predict(*args)
        found.append(structure.positions[:, :3])
        return structure

    predict = engine.predict_structure
    with patch.object(engine, "predict_structure", recorded):
        ours(model, record, num_recycles)
    module = model.trunk.structure_module
    hook = module.register_forward_hook(lambda _, __, output: expected.append(output["positions"][-1, 0, :, :3]))
    stock(model, record, num_recycles)
    hook.remove()
    return found, expected
