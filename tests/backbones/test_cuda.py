"""Language models on a card."""

from __future__ import annotations

import pytest
import torch

from lowmem_fold.backbones.loading import load_backbone
from lowmem_fold.backbones.parity import compare_states, stock_states
from tests.backbones.models import CASES, SEQUENCES
from tests.backbones.test_parity import states

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def full_precision_products(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)


@pytest.mark.parametrize(("precision", "most"), [("fp32", 1e-4), ("fp16", 2e-2), ("bf16", 1e-1)])
@pytest.mark.parametrize("case", CASES)
def test_states_are_near_stocks(family_folder, case: str, precision: str, most: float) -> None:
    backbone = load_backbone(family_folder(case), precision, device="cuda")
    assert compare_states(stock_states(family_folder(case)), backbone, SEQUENCES).relative_error < most


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("case", CASES)
def test_streamed_is_resident(family_folder, case: str, precision: str) -> None:
    resident, streamed = (
        states(load_backbone(family_folder(case), precision, device="cuda", placement=name), SEQUENCES)
        for name in ("resident", "streamed")
    )
    assert all(torch.equal(resident[number], streamed[number]) for number in resident)
