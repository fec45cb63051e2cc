"""A memory budget on its way through a run: which placement a length wants, and what is left beside it."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

from ..errors import BudgetError
from ..memory.capacity import cuda_capacity, host_capacity
from ..memory.limit import enforced
from .plan import Planner

__all__ = ["Budget", "scarce_memory"]

_PAIR_BYTES, _SPARE_BYTES = 4 * 512, 2**30
"""Of a fold, for each pair of residues, and besides: twice what it takes."""


class Budget:
    """What weights and activations may take, and the lengths that are known to fit."""

    def __init__(self, planner: Planner, device: torch.device, memory_bytes: int) -> None:
        self._planner, self._device, self._memory_bytes = planner, device, memory_bytes
        self._fits: dict[str, int] = {}
        self._spare: dict[str, int] = {}

    def enforced(self) -> AbstractContextManager[None]:
        """Within, the allocator of a CUDA device gives out no more."""
        return enforced(self._device, self._memory_bytes)

    def spare_bytes(self, placement: str) -> int:
        """What is left beside the longest record that is known to fit."""
        return self._spare.get(placement, 0)

    def placement(self, length: int, present: str | None = None) -> str:
        """The fastest placement for a length; the present one as long as it will do. BudgetError if none will."""
        if present is not None and length <= self._fits.get(present, 0):
            return present
        plans = self._planner.plans(length, presets=present is None)
        if plans.chosen is None:
            raise BudgetError(f"{plans.reason}. " + "; ".join(plans.alternatives))
        fitting = [each.placement for each in plans.plans if each.precision == plans.precision and not each.refusal]
        chosen = present if present in fitting else plans.chosen.placement
        if length > self._fits.get(chosen, 0):
            (found,) = (p for p in plans.plans if (p.precision, p.placement) == (plans.precision, chosen))
            self._fits[chosen], self._spare[chosen] = length, self._memory_bytes - found.needed_bytes
        return chosen


def scarce_memory(weight_bytes: int, length: int, device: torch.device) -> int | None:
    """What is free on the device, if a model's weights and a fold might need more; None where there is plenty, or the
    system does not say. A plan takes seconds, and most models fit."""
    capacity = cuda_capacity(device.index) if device.type == "cuda" else host_capacity()
    needed, free = weight_bytes + _PAIR_BYTES * length**2 + _SPARE_BYTES, capacity.free_bytes
    return free if free is not None and device.type != "mps" and needed > free else None
