"""How many sequences a batch can hold: what is worthwhile, as far as the planner has room for it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import torch

from ..memory.capacity import cuda_capacity, host_capacity

if TYPE_CHECKING:
    from .backbone import Backbone

__all__ = ["Room", "worthwhile_tokens"]

_SHARE = 0.9
"""Of free memory that a plan may use: allocators do not fill it without gaps."""


def worthwhile_tokens(device: torch.device) -> int:
    """Tokens of a batch, beyond which it is hardly faster: on a CPU about that, on others an assumption."""
    return 2048 if device.type == "cpu" else 16384


class Room:
    """The room for batches beside a loaded model.

    Parameters
    ----------
    backbone : Backbone
    logits : bool
        Whether batches are of `Backbone.logits`.
    max_tokens : int, optional
        Of a batch, padding included; by default `worthwhile_tokens`.
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
        self._max_tokens = max_tokens or worthwhile_tokens(backbone.device)
        self._kept_bytes = kept_bytes or (lambda tokens: 0)
        self._bytes = _room_bytes(backbone)
        self._planned = cache(self._plan)

    def __call__(self, tokens: int) -> int:
        """Sequences of so many tokens that fit a batch, 1 at least; 1 where each has to be run alone."""
        if self._backbone.runs_alone:
            return 1
        step = 1 << max(0, tokens.bit_length() - 3)  # a plan takes time, and need not be made for each length
        return max(1, min(self._max_tokens // tokens, self._planned(-(-tokens // step) * step, step)))

    def _plan(self, tokens: int, step: int) -> int:
        most = max(1, self._max_tokens // (tokens - step + 1))
        if self._bytes is None or most == 1 or self._needed(most, tokens) <= self._bytes:
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


def _room_bytes(backbone: Backbone) -> int | None:
    """What batches may take beside the weights, which are there; None where the system does not say."""
    if backbone.room_bytes is not None:
        return backbone.room_bytes
    device = backbone.device
    if device.type != "cuda":
        free = host_capacity().free_bytes
        return None if free is None else int(_SHARE * free)
    cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(_SHARE * ((cuda_capacity(device.index).free_bytes or 0) + cached))
