"""One pass of a batch through a language model: each layer's states as soon as they are there, weights as they come."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..checkpoints.architecture import architecture_of
from ..residency import Layers

__all__ = ["head_logits", "padded", "run_layers"]

Receive = Callable[[int, Tensor], None]


class _Enough(Exception):
    """Ends a pass: the layers that come are not wanted."""


def padded(token_lists: Sequence[Sequence[int]], pad_id: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Token ids and mask (B, T), int64: a batch filled up on the right; the mask is 1 where a token is real."""
    longest = max(map(len, token_lists))
    tokens = torch.tensor([[*each, *[pad_id] * (longest - len(each))] for each in token_lists])
    mask = torch.tensor([[1] * len(each) + [0] * (longest - len(each)) for each in token_lists])
    return tokens.to(device), mask.to(device)


def run_layers(
    model: nn.Module, layers: Layers, tokens: Tensor, mask: Tensor, wanted: Collection[int], receive: Receive
) -> None:
    """Run stock's own forward pass of the encoder and hand out the states (B, T, width) of the layers that are wanted.

    tokens, mask: as `padded` makes them. layers: those of the model, as they come. Layers after the highest that is
    wanted are not run.
    """
    base = model.get_submodule(architecture_of(model).base)
    depth = len(architecture_of(model).stacks(model)[0])
    try:
        with torch.no_grad(), _walked(model, layers), _heard(model, depth, wanted, receive):
            last = base(input_ids=tokens, attention_mask=mask).last_hidden_state
    except _Enough:
        return
    receive(depth, last)


def head_logits(model: nn.Module, layers: Layers, tokens: Tensor, mask: Tensor) -> Tensor:
    """(B, T, vocabulary) of stock's masked-language model, float32."""
    with torch.no_grad(), _walked(model, layers):
        return model(input_ids=tokens, attention_mask=mask).logits.float()


@contextmanager
def _walked(model: nn.Module, layers: Layers) -> Iterator[None]:
    """Within, the weights of a layer are brought when it is called, and those of the one before are given up."""
    with ExitStack() as hooks:
        walk = iter(layers)
        hooks.callback(getattr(walk, "close", lambda: None))
        for module in _stem(model):
            handle = module.register_forward_pre_hook(lambda module, inputs: _bring(walk, module))
            hooks.callback(handle.remove)
        yield


def _bring(walk: Iterator[nn.Module], module: nn.Module) -> None:
    if next(walk) is not module:
        raise RuntimeError("layers are not called in their order")


@contextmanager
def _heard(model: nn.Module, depth: int, wanted: Collection[int], receive: Receive) -> Iterator[None]:
    """Within, what goes into the first layer and comes out of each but the last is handed out."""
    highest = max(wanted)

    def hear(number: int, states: Tensor) -> None:
        if number in wanted:
            receive(number, states)
        if number == highest:
            raise _Enough

    with ExitStack() as hooks:
        stem = _stem(model)
        first = stem[0].register_forward_pre_hook(
            lambda module, inputs, named: hear(0, inputs[0] if inputs else named["hidden_states"]),
            with_kwargs=True,
            prepend=True,  # before its weights are brought
        )
        hooks.callback(first.remove)
        for number, module in enumerate(stem[: depth - 1], start=1):
            handle = module.register_forward_hook(partial(_output, hear, number))
            hooks.callback(handle.remove)
        yield


def _output(hear: Receive, number: int, module: nn.Module, inputs: Any, output: Any) -> None:
    hear(number, output[0] if isinstance(output, tuple) else output)


def _stem(model: nn.Module) -> list[nn.Module]:
    return [module for _, module in architecture_of(model).stacks(model)[0]]
