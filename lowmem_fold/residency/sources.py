"""Where the weights of a stack wait: in the mapped files of the checkpoint, or in host memory."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

import torch
from torch import Tensor

from ..checkpoints.weight_files import WeightFiles
from .moved import MovedLayer

__all__ = ["FileSource", "HostSource", "Source"]

_log = logging.getLogger(__name__)


class Source(Protocol):
    """What a stack's layers are brought from."""

    kind: str

    @property
    def layers(self) -> Sequence[MovedLayer]: ...

    def tensors(self, number: int) -> list[Tensor]:
        """Of a layer, on the host; as they wait, which may be in another dtype than that in which they are used."""

    def packed(self, number: int, buffer: Tensor | None) -> Tensor:
        """A layer's bytes as `MovedLayer.views` has them: in a buffer of the source's own, or written into `buffer`."""


class FileSource:
    """Layers that are read whenever they are needed."""

    kind = "file"

    def __init__(self, layers: Sequence[MovedLayer], files: WeightFiles) -> None:
        self._layers, self._files = layers, files

    @property
    def layers(self) -> Sequence[MovedLayer]:
        return self._layers

    def tensors(self, number: int) -> list[Tensor]:
        return [self._files.get(name) for name in self.layers[number].names]

    def packed(self, number: int, buffer: Tensor | None) -> Tensor:
        layer = self.layers[number]
        if buffer is None:
            buffer = torch.empty(layer.nbytes, dtype=torch.uint8)
        for view, tensor in zip(layer.views(buffer), self.tensors(number), strict=True):
            view.copy_(tensor)
        return buffer[: layer.nbytes]


class HostSource:
    """Layers in host memory, each in one buffer.

    They are pinned for a CUDA device, as copies are then made beside the arithmetic; where the system refuses to pin so
    much, they are not, and `kind` and the log say so.
    """

    def __init__(self, pin: bool) -> None:
        self._layers: list[MovedLayer] = []
        self._buffers: list[Tensor] = []
        self._pin = pin
        self.kind = "pinned host memory" if pin else "host memory"

    @property
    def layers(self) -> Sequence[MovedLayer]:
        return self._layers

    def add(self, layer: MovedLayer) -> None:
        """Take over the tensors that a layer has, which is left without."""
        buffer = torch.empty(layer.nbytes, dtype=torch.uint8)
        for view, tensor in zip(layer.views(buffer), layer.tensors(), strict=True):
            view.copy_(tensor)
        layer.take()
        if self._pin and not _pinned(buffer):
            self._pin, self.kind = False, "host memory (not all of it could be pinned)"
            _log.warning("the system pins no more host memory for weights: copies to the device will be slower")
        self._layers.append(layer)
        self._buffers.append(buffer)

    def tensors(self, number: int) -> list[Tensor]:
        return self.layers[number].views(self._buffers[number])

    def packed(self, number: int, buffer: Tensor | None) -> Tensor:
        return self._buffers[number]


def _pinned(buffer: Tensor) -> bool:
    """Pin a buffer as it is: torch's own pinned memory comes in powers of two, up to twice of what is asked for."""
    cudart = torch.cuda.cudart()
    if int(cudart.cudaHostRegister(buffer.data_ptr(), buffer.nbytes, 0)) != 0:
        with suppress(RuntimeError):  # the refusal stays CUDA's last error, and the next kernel would raise it
            torch.ones(1, device="cuda").add_(1)
            torch.cuda.synchronize()
        return False
    weakref.finalize(buffer, cudart.cudaHostUnregister, buffer.data_ptr())
    return True
