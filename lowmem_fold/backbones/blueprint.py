"""A language model before it is loaded: what it takes, and where its weights may live."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch

from ..checkpoints.checkpoint import Checkpoint
from ..checkpoints.loader import opened_files, planned_model
from ..errors import BudgetError, InputError
from ..memory.budget import format_memory
from ..memory.reserve import reserve_bytes
from ..precision import Part, Precision
from ..residency import Residency, held_bytes, load_placed, refusal, weight_layout
from .activations import Activations
from .families import Family

__all__ = ["PLACEMENTS", "Blueprint"]

#: From the fastest to the smallest.
PLACEMENTS = ("resident", "streamed")
_SHORT = 512
"""Tokens of the one sequence for which there has to be room."""


@dataclass
class Blueprint:
    """How a language model is to be loaded.

    Attributes
    ----------
    checkpoint : Checkpoint
    family : Family
    precision : Precision
        As it was asked for.
    device : torch.device
    attention : str
        `sdpa` or `eager`.
    memory_bytes : int, optional
        What weights and activations may take on the device.
    """

    checkpoint: Checkpoint
    family: Family
    precision: Precision
    device: torch.device
    attention: str
    memory_bytes: int | None = None

    @property
    def resolved(self) -> Precision:
        """The precision as the device has it, of the stem alone."""
        resolved = self.precision.resolve(self.device)
        return replace(resolved, trunk=Part())

    def planned(self) -> Any:
        """The model without its bytes, on the meta device."""
        model = planned_model(self.checkpoint, self.resolved, self.family.architecture)
        model.set_attn_implementation(self.attention)
        return model

    def describe(self, weights: dict[str, Any]) -> dict[str, Any]:
        """What is said of the model on its device, `inventory` given; JSON-able."""
        return {
            "model": self.checkpoint.name,
            "source": str(self.checkpoint.path),
            "fingerprint": self.checkpoint.fingerprint(),
            "family": self.family.name,
            "precision": str(self.precision),
            "resolved_precision": str(self.resolved),
            "weights": weights,
            "device": str(self.device),
            "attention": self.attention,
        }

    def load(self, placement: str) -> tuple[Any, Residency]:
        """The model, and what brings its layers. Errors as `load_placed`."""
        architecture = self.family.architecture
        model, residency = load_placed(self.checkpoint, self.resolved, self.device, placement, architecture)
        model.set_attn_implementation(self.attention)
        return model, residency

    @cached_property
    def activations(self) -> Activations:
        """What batches take."""
        return Activations(self.planned())

    @cached_property
    def refusals(self) -> dict[str, str | None]:
        """Why a placement cannot be had; None of those that can."""
        planned = self.planned()
        files = opened_files(self.checkpoint, self.family.architecture, planned)
        return {name: refusal(planned, files, name, self.device.type) for name in PLACEMENTS}

    @cached_property
    def weight_bytes(self) -> dict[str, int]:
        """Of the weights on the device in each placement."""
        planned = self.planned()
        layout = weight_layout(planned, opened_files(self.checkpoint, self.family.architecture, planned))
        return {name: held_bytes(layout, name, self.device.type).stem for name in PLACEMENTS}

    def room_bytes(self, placement: str) -> int | None:
        """What the budget leaves for activations, none below nothing; None without a budget."""
        if self.memory_bytes is None:
            return None
        reserve = reserve_bytes(str(self.device), self.memory_bytes)
        return max(0, self.memory_bytes - reserve - self.weight_bytes[placement])

    def fitting_placement(self, memory_bytes: int) -> str:
        """The fastest placement that fits, a sequence of 512 tokens beside it. BudgetError if none does."""
        short = self.activations.peak_bytes(1, self._short, False)
        possible = [name for name in PLACEMENTS if self.refusals[name] is None]
        needed = {name: self.weight_bytes[name] + short for name in possible}
        needed = {name: size + reserve_bytes(str(self.device), size) for name, size in needed.items()}
        for name, size in needed.items():
            if size <= memory_bytes:
                return name
        least = min(needed, key=needed.__getitem__)
        raise BudgetError(
            f"{self.checkpoint.name} in {self.precision} needs {format_memory(needed[least])} with {least} weights, and"
            f" {format_memory(memory_bytes)} may be used" + self._cure()
        )

    @property
    def _short(self) -> int:
        limit = self.family.max_residues
        return _SHORT if limit is None else min(_SHORT, limit)

    def _cure(self) -> str:
        reason = self.refusals["streamed"]
        return f"; {reason}" if reason else "; a smaller precision, such as int8 or int4, needs less"

    def check_placement(self, placement: str) -> None:
        """InputError if the model cannot have it: says why, and what to do."""
        if placement == "staged":
            raise InputError("a language model has one stack of layers: staged is resident; streamed takes less")
        if placement not in PLACEMENTS:
            raise InputError(f"unknown placement {placement!r}; choose from: {', '.join(PLACEMENTS)}")
        if reason := self.refusals[placement]:
            raise InputError(reason)
