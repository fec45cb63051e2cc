"""A loaded model, used from several threads."""

from __future__ import annotations

import threading

import pytest
import torch

from lowmem_fold.backbones.loading import load_backbone
from tests.backbones.models import SEQUENCES


@pytest.fixture(params=["resident", "streamed"])
def backbone(request, family_folder):
    return load_backbone(family_folder("esm2"), device="cpu", placement=request.param)


def states(backbone, sequence, between=lambda: None):
    """Of each layer; `between` is called when the first is there."""
    found = []

    def receive(number, layer):
        found.append(layer.clone())
        if len(found) == 1:
            between()

    backbone.hidden_states([backbone.family.encode(sequence)], range(backbone.num_layers + 1), receive)
    return torch.stack(found)


@pytest.mark.parametrize("verb", ["states", "logits"])
def test_pass_within_the_pass_of_another_thread(backbone, verb):
    """The second thread begins while the first is between two layers; without a lock, its layers are heard twice."""
    first, second = SEQUENCES[0], SEQUENCES[0][::-1]

    def run(sequence):
        if verb == "logits":
            return backbone.logits([backbone.family.encode(sequence)])
        return states(backbone, sequence)

    expected = states(backbone, first), run(second)
    found = []
    other = threading.Thread(target=lambda: found.append(run(second)))

    def begin_other():
        other.start()
        other.join(timeout=0.5)  # long enough for a pass; it waits for this one, which is what is tested

    torch.testing.assert_close(states(backbone, first, begin_other), expected[0], rtol=0, atol=0)
    other.join()
    torch.testing.assert_close(found[0], expected[1], rtol=0, atol=0)
