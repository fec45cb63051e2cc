"""The stacks of layers as the engine walks through them: their weights are there when a layer's turn has come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Protocol

from torch import Tensor, nn

from .placements import stacks
from .transport import Transport

__all__ = ["Layers", "Residency", "ResidentLayers", "StagedLayers", "StreamedLayers"]


class Layers(Protocol):
    """A stack whose layers can be walked through, any number of times, until it is let go of."""

    waits_in: str
    """Where the weights are that are not on the device."""

    def __iter__(self) -> Iterator[nn.Module]: ...

    def release(self) -> None:
        """Give up what the weights take on the device, if they can come again."""


class ResidentLayers:
    """Weights that are always there."""

    waits_in = "none"

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self._modules = modules

    def __iter__(self) -> Iterator[nn.Module]:
        return iter(self._modules)

    def release(self) -> None:
        pass


class StagedLayers:
    """All weights of the stack come at the first walk, and stay until it is let go of."""

    def __init__(self, transport: Transport) -> None:
        self._transport, self._layers = transport, transport.source.layers
        self.waits_in = transport.source.kind
        self._there = False

    def __iter__(self) -> Iterator[nn.Module]:
        if not self._there:
            self._bring()
        return iter([layer.module for layer in self._layers])

    def _bring(self) -> None:
        try:
            for number, layer in enumerate(self._layers):
                layer.give(self._transport.brought(number))
        except BaseException:
            self.release()
            raise
        self._there = True

    def release(self) -> None:
        for layer in self._layers:
            layer.take()
        self._there = False


class StreamedLayers:
    """A layer's weights come while the one before it is computed with, and go when it has been.

    Two layers are held at a time. What brings them runs in a thread, beside the arithmetic.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport, self._layers = transport, transport.source.layers
        self.waits_in = transport.source.kind
        self._coming: Future[list[Tensor]] | None = None

    def __iter__(self) -> Iterator[nn.Module]:
        self._transport.open()
        with ThreadPoolExecutor(1, "weights") as thread:
            coming = self._coming = thread.submit(self._transport.fetch, 0)
            for number, layer in enumerate(self._layers):
                tensors = coming.result()
                self._coming = None
                if number + 1 < len(self._layers):
                    coming = self._coming = thread.submit(self._transport.fetch, number + 1)
                self._transport.received(number)
                layer.give(tensors)
                del tensors
                try:
                    yield layer.module
                finally:
                    layer.take()
                    self._transport.used(number)

    def release(self) -> None:
        """After what is on its way has come: a walk that an error has ended may have left a layer that is."""
        coming, self._coming = self._coming, None
        if coming is not None:
            wait([coming])
        self._transport.release()


class Residency:
    """Both stacks of a model; of a language model the second is empty. `stem` and `trunk` begin a phase: the weights of
    the other one are let go of."""

    def __init__(self, stem: Layers, trunk: Layers) -> None:
        self._stem, self._trunk = stem, trunk

    @classmethod
    def of(cls, model: nn.Module) -> Residency:
        """Of a model that has all its weights on its device."""
        return cls(*(ResidentLayers([module for _, module in stack]) for stack in stacks(model)))

    @property
    def waits_in(self) -> str:
        """Where weights are that are not on the device: a file, host memory, or "none"."""
        return self._stem.waits_in

    def stem(self) -> Layers:
        """The layers of the language model."""
        self._trunk.release()
        return self._stem

    def trunk(self) -> Layers:
        """The blocks of the folding trunk."""
        self._stem.release()
        return self._trunk

    def release(self) -> None:
        """Give up all weights on the device that can come again."""
        self._stem.release()
        self._trunk.release()
