"""A loaded language model: token ids in, states of its layers or logits out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..checkpoint import Checkpoint
from ..precision import Precision
from .families import Family

__all__ = ["Backbone"]


class Backbone:
    """A language model on its device. Made by `load_backbone`.

    Attributes
    ----------
    family : Family
        What is its own of tokens, limits and attention.
    checkpoint : Checkpoint
        Where its weights are from; `checkpoint.fingerprint()` tells models apart.
    config : PretrainedConfig
        Of transformers.
    precision : Precision
        As it was asked for; `str()` of it is what the command line takes.
    attention : str
        The implementation that is used: `sdpa` or `eager`.
    """

    family: Family
    checkpoint: Checkpoint
    config: Any
    precision: Precision
    attention: str

    @property
    def placement(self) -> str:
        """Where the weights live: `resident` or `streamed`."""
        raise NotImplementedError

    @property
    def placements(self) -> tuple[str, ...]:
        """Those that model, precision and device can have, from the fastest to the smallest."""
        raise NotImplementedError

    def place(self, placement: str) -> None:
        """Give the weights up and load them again in another placement. InputError if it cannot be had; as after any
        other error, the weights are where they were."""
        raise NotImplementedError

    @property
    def device(self) -> torch.device:
        """Where is computed."""
        raise NotImplementedError

    @property
    def num_layers(self) -> int:
        """n: layers are numbered from 0, the states after the embedding, to n, the last."""
        raise NotImplementedError

    @property
    def width(self) -> int:
        """Numbers of a state."""
        raise NotImplementedError

    @property
    def masked_lm(self) -> bool:
        """Whether the checkpoint has a masked-language-model head, and so `logits`."""
        raise NotImplementedError

    def hidden_states(
        self, token_lists: Sequence[list[int]], layers: Iterable[int], receive: Callable[[int, Tensor], None]
    ) -> None:
        """Run one batch, padded on the right.

        Parameters
        ----------
        token_lists : sequence of list of int
            As `family.encode` gives them.
        layers : iterable of int
            0 is the embedding's output, which the first layer takes; `num_layers` is what stock transformers gives as
            `last_hidden_state`, final norm included; the others are what each layer gives (stock's `hidden_states`).
            Layers after the highest are not run.
        receive : callable
            Called with a layer's number and its states (B, T, width) as soon as it is done, in the order of the
            layers, T the longest. What stands at padding means nothing. The tensor is on the device, of the stream's
            dtype, and given up afterwards: copy or reduce what is to stay.

        Raises
        ------
        InputError
            No sequence, a layer that is none, or more tokens than the model has positions for.
        """
        raise NotImplementedError

    def logits(self, token_lists: Sequence[list[int]]) -> Tensor:
        """(B, T, vocabulary) of the masked-language-model head, float32, on the device; what stands at padding means
        nothing. Errors as `hidden_states`; InputError also where there is no head."""
        raise NotImplementedError

    def peak_bytes(self, batch: int, tokens: int, logits: bool = False) -> int:
        """Most bytes that `hidden_states`, or `logits`, of so many sequences of so many tokens each takes on the device
        besides the weights: planned, without running. What `receive` keeps is not counted."""
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        """What a record of a run says of the model: model, fingerprint, family, precision, resolved_precision, weights,
        device, placement, attention. JSON-able."""
        raise NotImplementedError
