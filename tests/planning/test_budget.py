"""What fits a budget, and what is worked out for it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from lowmem_fold.errors import BudgetError
from lowmem_fold.esmfold.family import FAMILY
from lowmem_fold.planning.budget import AMPLE_BYTES, Budget

CPU = torch.device("cpu")
NEEDED = {"resident": lambda n: 1000 + n, "staged": lambda n: 600 + n, "streamed": lambda n: 100 + n}


class FakePlanner:
    """In which a fold takes a byte for each residue."""

    precision = "fp32"

    def __init__(self, memory: int) -> None:
        self.memory, self.asked = memory, []

    def _plans(self, length: int) -> list[SimpleNamespace]:
        self.asked.append(length)
        sizes = {name: needed(length) for name, needed in NEEDED.items()}
        return [
            SimpleNamespace(
                precision="fp32",
                placement=name,
                needed_bytes=size,
                refusal=None if size <= self.memory else f"needs {size}",
            )
            for name, size in sizes.items()
        ]

    def chosen(self, length: int) -> SimpleNamespace | None:
        return next((plan for plan in self._plans(length) if plan.refusal is None), None)

    def plans(self, length: int, *, presets: bool = True) -> SimpleNamespace:
        plans = self._plans(length)
        chosen = next((plan for plan in plans if plan.refusal is None), None)
        return SimpleNamespace(
            precision="fp32", plans=plans, chosen=chosen, reason="nothing fits", alternatives=("less would",)
        )


def budget(memory: int, weights: int = 0) -> tuple[Budget, FakePlanner]:
    planner = FakePlanner(memory)
    return Budget(memory, CPU, lambda: planner, lambda: weights, FAMILY.pair_bytes), planner


@pytest.mark.parametrize("length", [1, 100, 3000])
@pytest.mark.parametrize("weights", [0, 10**9])
def test_with_plenty_nothing_is_planned(weights: int, length: int) -> None:
    """The weights, four pair tensors of 512 bytes for each pair of residues, and a GiB."""
    enough = weights + 4 * 512 * length * length + AMPLE_BYTES
    ample, planner = budget(enough, weights)
    assert ample.is_ample(length) and not ample.is_ample(length + 1)
    assert ample.placement(length) == ample.planned_placement(length) == "resident" and planner.asked == []
    assert ample.placement(length, "streamed") == "streamed"
    assert not budget(enough - 1, weights)[0].is_ample(length)


def test_the_fastest_that_fits_is_taken_and_kept_as_long_as_it_will_do() -> None:
    tight, planner = budget(1100)
    assert tight.placement(100) == "resident" and tight.spare_bytes("resident") == 0
    assert tight.placement(50, "resident") == "resident" and planner.asked == [100]
    assert tight.placement(101, "resident") == "staged"
    assert tight.placement(50, "staged") == "staged"
    assert tight.placement(700, "staged") == "streamed"
    assert [tight.planned_placement(length) for length in (100, 101, 500, 501, 1000, 1001)] == [
        "resident",
        "staged",
        "staged",
        "streamed",
        "streamed",
        None,
    ]
    with pytest.raises(BudgetError, match=r"nothing fits\. less would"):
        tight.placement(1001, "streamed")


def test_the_only_placement_that_may_be_chosen() -> None:
    only = Budget(2**40, CPU, lambda: pytest.fail("not needed"), lambda: 0, 0, "staged")
    assert only.placement(10) == only.planned_placement(10) == "staged"


def test_what_other_tensors_hold_is_enforced_besides(monkeypatch: pytest.MonkeyPatch) -> None:
    """They count in the limit of the allocator, not in what the model may take."""
    limits = []
    monkeypatch.setattr("lowmem_fold.planning.budget.enforced", lambda device, size: limits.append(size))
    Budget(1000, torch.device("cuda"), FakePlanner, int, 0, held_bytes=234).enforced()
    assert limits == [1234]
