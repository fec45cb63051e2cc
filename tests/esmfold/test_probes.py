"""The models that are timed."""

from __future__ import annotations

import torch

from lowmem_fold.bench.models import small_config
from lowmem_fold.esmfold import probes

CPU = torch.device("cpu")


def test_weights_are_random_and_bounded_by_their_width() -> None:
    model = probes.filled_model(small_config(), CPU)
    assert not model.training
    for name, weight in model.named_parameters():
        bound = weight.shape[-1] ** -0.5 if weight.ndim > 1 else 0.1
        assert not weight.requires_grad and (weight != 0).any() and weight.abs().max() <= bound, name
