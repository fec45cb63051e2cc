"""Planned peaks beside those of real runs, counted by the same ledger and by torch's allocator."""

from __future__ import annotations

import pytest
import torch

from lowmem_fold.backbones.backbone import Backbone
from lowmem_fold.backbones.loading import load_backbone
from lowmem_fold.memory.allocator import allocator_peak_bytes
from lowmem_fold.memory.ledger import Ledger
from lowmem_fold.quantization.registry import unavailable
from tests.backbones.models import CASES

TOKENS = [[5] * 30, [5] * 29, [5] * 12, [5] * 12]


def run(backbone: Backbone, logits: bool) -> None:
    if logits:
        backbone.logits(TOKENS)
    else:
        backbone.hidden_states(TOKENS, [backbone.num_layers], lambda number, states: None)


@pytest.mark.parametrize("attention", ["auto", "eager"])
@pytest.mark.parametrize("case", CASES)
def test_planned_is_what_a_padded_batch_takes(family_folder, case: str, attention: str) -> None:
    backbone = load_backbone(family_folder(case), device="cpu", attention=attention)
    for logits in {False, backbone.masked_lm}:
        run(backbone, logits)
        with Ledger() as ledger:
            run(backbone, logits)
        assert backbone.peak_bytes(4, 30, logits) == pytest.approx(ledger.peak_bytes, rel=0.02), logits


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_what_is_unpacked_is_planned(family_folder, precision: str) -> None:
    if reason := unavailable(precision, torch.device("cpu")):
        pytest.skip(reason)
    backbone = load_backbone(family_folder("prott5"), precision, device="cpu")
    with Ledger() as ledger:
        run(backbone, False)
    assert backbone.peak_bytes(4, 30) == pytest.approx(ledger.peak_bytes, rel=0.05)


@pytest.mark.parametrize("case", ["esm2", "ankh"])
def test_planned_is_what_the_allocator_gives_out(family_folder, case: str) -> None:
    """With what kernels take inside themselves, at a length where that is little."""
    backbone = load_backbone(family_folder(case), device="cpu")
    tokens = [[5] * 400, [5] * 300]
    peak = allocator_peak_bytes(lambda: backbone.hidden_states(tokens, [3], lambda number, states: None))
    assert backbone.peak_bytes(2, 400) == pytest.approx(peak, rel=0.1)


def test_no_more_is_planned_than_there_are_positions(family_folder) -> None:
    backbone = load_backbone(family_folder("antiberty"), device="cpu")
    assert backbone.peak_bytes(1, 39) < backbone.peak_bytes(1, 40) == backbone.peak_bytes(1, 1000)


def test_more_takes_more_and_streaming_as_much(family_folder) -> None:
    backbone = load_backbone(family_folder("esm2"), device="cpu", placement="streamed")
    assert backbone.peak_bytes(1, 30) < backbone.peak_bytes(2, 30) < backbone.peak_bytes(2, 60)
    assert backbone.peak_bytes(2, 60) == load_backbone(family_folder("esm2"), device="cpu").peak_bytes(2, 60)
