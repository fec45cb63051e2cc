"""A memory budget on its way through a run: which placement a length wants, and what is left beside it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cached_property

import torch

from ..errors import BudgetError
from ..memory.limit import enforced
from .plan import Planner, Plans

__all__ = ["AMPLE_BYTES", "Budget"]

AMPLE_BYTES = 2**30
"""Beside that, where no plan is made."""


class Budget:
    """What the weights and activations of one model may take, and the lengths that are known to fit.

    Where there is plenty no plan is made: it takes seconds, and most records fit most machines.

    Parameters
    ----------
    memory_bytes : int
        All that the model may take of the device, CUDA's context included.
    device : torch.device
    make_planner : callable
        To the `Planner` of the model in this budget; called once, if it is needed.
    weight_bytes : callable
        To the bytes of the resident weights; called once.
    pair_bytes : int
        For each pair of residues, more than a fold takes.
    placement : str, optional
        The only one that may be chosen.
    held_bytes : int
        What other tensors of this process hold of a CUDA device besides.
    """

    def __init__(
        self,
        memory_bytes: int,
        device: torch.device,
        make_planner: Callable[[], Planner],
        weight_bytes: Callable[[], int],
        pair_bytes: int,
        placement: str | None = None,
        held_bytes: int = 0,
    ) -> None:
        self._memory_bytes, self._device, self._held_bytes = memory_bytes, device, held_bytes
        self._make_planner, self._count_weights = make_planner, weight_bytes
        self._pair_bytes, self._asked = pair_bytes, placement
        self._fits: dict[str, int] = {}  # most residues that are known to fit, by placement
        self._spare: dict[str, int] = {}

    @cached_property
    def _planner(self) -> Planner:
        return self._make_planner()

    @cached_property
    def _weight_bytes(self) -> int:
        return self._count_weights()

    def enforced(self) -> AbstractContextManager[None]:
        """Within, the allocator of a CUDA device gives out no more."""
        return enforced(self._device, self._memory_bytes + self._held_bytes)

    def is_ample(self, length: int) -> bool:
        """Whether a record of so many residues fits with all weights resident, without a plan."""
        return self._weight_bytes + self._pair_bytes * length**2 + AMPLE_BYTES <= self._memory_bytes

    def spare_bytes(self, placement: str) -> int:
        """What is left beside the longest record that is known to fit."""
        return self._spare.get(placement, AMPLE_BYTES if self.is_ample(1) else 0)

    def placement(self, length: int, present: str | None = None) -> str:
        """Return the fastest placement for a length; the present one as long as it will do.

        Raises
        ------
        BudgetError
            None will do: says what would.
        """
        if present is not None and length <= self._fits.get(present, 0):
            return present
        if self.is_ample(length):
            return present or self._asked or "resident"
        plans = self._planner.plans(length, presets=present is None)
        if plans.chosen is None:
            raise BudgetError(f"{plans.reason}. " + "; ".join(plans.alternatives))
        return self._chosen(plans, length, present)

    def planned_placement(self, length: int) -> str | None:
        """Return the fastest placement for a length; None if none will do. Nothing else is worked out."""
        if self.is_ample(length):
            return self._asked or "resident"
        chosen = self._planner.chosen(length)
        return None if chosen is None else chosen.placement

    def _chosen(self, plans: Plans, length: int, present: str | None) -> str:
        assert plans.chosen is not None
        fitting = [each.placement for each in plans.plans if each.precision == plans.precision and not each.refusal]
        chosen = present if present in fitting else plans.chosen.placement
        if length > self._fits.get(chosen, 0):
            (found,) = (p for p in plans.plans if (p.precision, p.placement) == (plans.precision, chosen))
            self._fits[chosen], self._spare[chosen] = length, self._memory_bytes - found.needed_bytes
        return chosen
