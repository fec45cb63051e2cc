"""How many sequences a batch can hold: what is worthwhile, as far as the planner has room for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from ..memory.capacity import cuda_capacity, host_capacity

if TYPE_CHECKING:
    from .backbone import Backbone

__all__ = ["WORTHWHILE_TOKENS", "Room"]

WORTHWHILE_TOKENS = {"cpu": 2048, "cuda": 16384, "mps": 8192}
"""Of a batch. On a CPU more is no faster, as `benchmarks.embed` measures; the others are assumptions."""
_SHARE = 0.9
"""Of free memory that a plan may use: allocators do not fill it without gaps."""


class Room:
    """The room for batches beside a loaded model.

    Parameters
    ----------
    backbone : Backbone
    logits : bool
        Whether batches are of `Backbone.logits`.
    max_tokens : int, optional
        Of a batch, padding included; by default `WORTHWHILE_TOKENS`.
    kept_bytes : callable, optional
        What is kept on the device for so many tokens of a batch, besides what the model takes.
    """

    def __init__(
        self,
        backbone: Backbone,
        logits: bool = False,
        max_tokens: int | None = None,
        kept_bytes: Callable[[int], int] | None = None,
    ) -> None:
        self._backbone, self._logits = backbone, logits
        self._max_tokens = max_tokens or WORTHWHILE_TOKENS[backbone.device.type]
        self._kept_bytes = kept_bytes or (lambda tokens: 0)
        free = free_bytes(backbone.device)
        self._bytes = None if free is None else int(_SHARE * free)

    def __call__(self, tokens: int) -> int:
        """Sequences of so many tokens that fit a batch; 1 at least."""
        most = max(1, self._max_tokens // tokens)
        if self._bytes is None or self._needed(most, tokens) <= self._bytes:
            return most
        least = 1  # fits, or is tried all the same
        while most - least > 1:
            middle = (least + most) // 2
            if self._needed(middle, tokens) <= self._bytes:
                least = middle
            else:
                most = middle
        return least

    def _needed(self, batch: int, tokens: int) -> int:
        return self._backbone.peak_bytes(batch, tokens, self._logits) + self._kept_bytes(batch * tokens)


def free_bytes(device: torch.device) -> int | None:
    """What can be had beside the weights, which are there; None where the system does not say."""
    if device.type != "cuda":
        return host_capacity().free_bytes
    cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    index = torch.cuda.current_device() if device.index is None else device.index
    return (cuda_capacity(index).free_bytes or 0) + cached
