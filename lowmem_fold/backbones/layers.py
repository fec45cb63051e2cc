"""Which layers an embedding is made of. Imports nothing heavy: a wrong choice is told at once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import InputError

__all__ = ["LayerChoice", "Layers", "parse_layers"]

_HOW = (
    "write last, first, all, a number from 0 (after the embedding) on or from -1 (the last) back, a list such as"
    " 0,6,-1, or a weighted mix such as 6=0.25,last=0.75"
)


@dataclass(frozen=True)
class Layers:
    """A choice, as it turns out for one model.

    Attributes
    ----------
    numbers : tuple of int
        From 0, the states after the embedding, to n, the last; each once, in the order of the results, or in their
        own where the results are sums.
    weights : tuple of float, optional
        Of a mix, whose sum over the layers is the result; None: each layer is a result by itself.
    stacked : bool
        Whether results have an axis of layers.
    """

    numbers: tuple[int, ...]
    weights: tuple[float, ...] | None = None
    stacked: bool = False

    @property
    def num_results(self) -> int:
        """Layers of a result: one of a mix."""
        return 1 if self.weights else len(self.numbers)

    def __str__(self) -> str:
        """As the command line takes it, with plain numbers; the same text for the same results."""
        return _text(self.numbers, self.weights, self.stacked)


@dataclass(frozen=True)
class LayerChoice:
    """Layers as they were asked for: `last`, `first` and negative numbers mean what the model makes of them.

    names: `last`, `first`, `all` or numbers. weights: of a mix. stacked: as of `Layers`.
    """

    names: tuple[str, ...]
    weights: tuple[float, ...] | None = None
    stacked: bool = False

    def __str__(self) -> str:
        """As the command line takes it."""
        return _text(self.names, self.weights, self.stacked and self.names != ("all",))

    def of(self, num_layers: int) -> Layers:
        """What the choice is in a model of so many layers. InputError for a layer that it has not, or one twice."""
        if self.names == ("all",):
            return Layers(tuple(range(num_layers + 1)), None, True)
        numbers = tuple(_number(name, num_layers) for name in self.names)
        if len(set(numbers)) < len(numbers):
            twice = next(number for number in numbers if numbers.count(number) > 1)
            raise InputError(f"layers {','.join(self.names)}: layer {twice} is named twice (of 0 to {num_layers})")
        if self.weights:
            mixed = dict(sorted(zip(numbers, self.weights, strict=True)))
            return Layers(tuple(mixed), tuple(mixed.values()))
        return Layers(numbers, None, self.stacked)


def parse_layers(layers: str | int | Sequence[int | str] | Mapping[int | str, float]) -> LayerChoice:
    """Read a choice of layers.

    Parameters
    ----------
    layers : str, int, sequence or mapping
        `last`, `first` (the states after the embedding, which the first layer takes), `all`; a number from 0 to n,
        or from -1, the last, back; a list, whose results have an axis of layers in this order (and so has `all`); a
        mapping of layers to weights, for their weighted sum. On the command line a list is `0,6,-1` (`6,` is one of a
        single layer) and a mix `6=0.25,last=0.75`.

    Raises
    ------
    InputError
        It is something else.
    """
    if isinstance(layers, str):
        return _of_text(layers)
    if isinstance(layers, Mapping):
        return _checked(tuple(map(str, layers)), tuple(map(float, layers.values())), False)
    if isinstance(layers, Sequence):
        return _checked(tuple(map(str, layers)), None, True)
    return _checked((str(layers),), None, False)


def _text(layers: Sequence[int | str], weights: Sequence[float] | None, stacked: bool) -> str:
    if weights:
        return ",".join(f"{layer}={weight!r}" for layer, weight in zip(layers, weights, strict=True))
    return ",".join(map(str, layers)) + ("," if stacked and len(layers) == 1 else "")


def _of_text(text: str) -> LayerChoice:
    words = [word.strip() for word in text.split(",")]
    stacked = len(words) > 1
    if stacked and not words[-1]:
        words.pop()
    if not any("=" in word for word in words):
        return _checked(tuple(words), None, stacked)
    pairs = [word.partition("=") for word in words]
    try:
        weights = tuple(float(weight) for _, _, weight in pairs)
    except ValueError:
        raise InputError(f"layers {text!r}: a mix needs a number for each layer; {_HOW}") from None
    return _checked(tuple(name.strip() for name, _, _ in pairs), weights, False)


def _checked(names: tuple[str, ...], weights: tuple[float, ...] | None, stacked: bool) -> LayerChoice:
    shown = ",".join(names)
    if names == ("all",) and weights is None:
        return LayerChoice(names, None, True)
    for name in names:
        if name not in ("last", "first") and not name.removeprefix("-").isdecimal():
            raise InputError(f"layers {shown!r}: unknown layer {name!r}; {_HOW}")
    if not names:
        raise InputError(f"no layers are named; {_HOW}")
    if weights is not None and not all(map(math.isfinite, weights)):
        raise InputError(f"layers {shown}: the weights of a mix are finite numbers; they are {weights}")
    return LayerChoice(names, weights, stacked)


def _number(name: str, num_layers: int) -> int:
    number = {"first": 0, "last": num_layers}.get(name)
    if number is None:
        number = int(name) if not name.startswith("-") else num_layers + 1 + int(name)
    if not 0 <= number <= num_layers:
        raise InputError(
            f"there is no layer {name}: the model has layers 0 (after the embedding) to {num_layers}, and -1 to"
            f" {-num_layers - 1} count from the last"
        )
    return number
