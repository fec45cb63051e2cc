"""What is timed to calibrate a machine: the right arithmetic, on states that are not zero."""

from __future__ import annotations

import pytest
import torch

from lowmem_fold.pair.tiles import Tiling
from lowmem_fold.planning import calibration, timing

CPU = torch.device("cpu")
SECONDS, LONG, SIDE = 0.25, 40, 12


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call is made, and takes a quarter of a second."""

    def taken(call, device) -> float:
        call()
        return SECONDS

    monkeypatch.setattr(timing, "seconds_of", taken)
    monkeypatch.setattr(timing, "_LONG", LONG)
    monkeypatch.setattr(timing, "_SIDE", SIDE)
    monkeypatch.setattr(timing, "_COPIED_BYTES", 1000)


def test_rates_are_multiply_adds_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted off the shapes that the products are given."""
    counts = []
    attention = timing.F.scaled_dot_product_attention

    def counted(q, k, v, attn_mask):
        scores = q.shape[:-1].numel() * k.shape[-2] * q.shape[-1]
        counts.append(scores + q.shape[:-2].numel() * q.shape[-2] * v.shape[-2] * v.shape[-1])
        return attention(q, k, v, attn_mask=attn_mask)

    monkeypatch.setattr(timing.F, "scaled_dot_product_attention", counted)
    assert timing.attention_rate(CPU) == counts[0] / SECONDS
    rows = Tiling.for_device(CPU).height(LONG, 2 * 128, product=True)
    assert timing.triangle_rate(CPU) == 16 * rows * LONG * LONG / SECONDS
    assert timing.product_rate(CPU, torch.float32) == SIDE * SIDE * SIDE / SECONDS
    assert timing.copy_rate(CPU) == 1000 / SECONDS


@pytest.mark.parametrize(("capability", "has_bf16"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_bf16_is_timed_from_ampere_on(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], has_bf16: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert ("bf16" in calibration._computing(torch.device("cuda"))) is has_bf16
    assert calibration._computing(CPU) == ["fp32"]
