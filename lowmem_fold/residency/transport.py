"""How a layer's weights get from where they wait to where they are used."""

from __future__ import annotations

import logging
from typing import Protocol

import torch
from torch import Tensor

from .sources import Source

__all__ = ["CpuTransport", "DeviceTransport", "Transport"]

_log = logging.getLogger(__name__)
_SLOTS = 2
_PAGE_BYTES = 4096


class Transport(Protocol):
    """Brings the layers of a source."""

    source: Source

    def brought(self, number: int) -> list[Tensor]:
        """A layer's tensors, to stay."""

    def open(self) -> None:
        """Make two places that take turns, before layers are fetched; called where they will be computed with."""

    def fetch(self, number: int) -> list[Tensor]:
        """Begin to bring a layer into its place; called in a thread of its own, in order."""

    def received(self, number: int) -> None:
        """Called where the layer is to be computed with: its tensors are there from now on."""

    def used(self, number: int) -> None:
        """Called when it has been computed with: its place is free."""

    def release(self) -> None:
        """Give up the places."""


class CpuTransport:
    """Tensors that wait in the dtype in which they are used are not moved at all: they are views of the mapped file.
    The others are converted into one of two buffers."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._slots: list[Tensor] = []

    def brought(self, number: int) -> list[Tensor]:
        layer = self.source.layers[number]
        return [tensor.to(dtype) for tensor, dtype in zip(self.source.tensors(number), layer.dtypes, strict=True)]

    def open(self) -> None:
        """For a whole layer each: what is never written to takes no memory."""
        if not self._slots:
            size = max(layer.nbytes for layer in self.source.layers)
            self._slots = [torch.empty(size, dtype=torch.uint8) for _ in range(_SLOTS)]

    def fetch(self, number: int) -> list[Tensor]:
        views = self.source.layers[number].views(self._slots[number % _SLOTS])
        return [
            _read(tensor) if tensor.dtype == view.dtype else view.copy_(tensor)
            for tensor, view in zip(self.source.tensors(number), views, strict=True)
        ]

    def received(self, number: int) -> None:
        pass

    def used(self, number: int) -> None:
        pass

    def release(self) -> None:
        self._slots = []


def _read(tensor: Tensor) -> Tensor:
    """The tensor, of which a byte of each page has been read: so it comes from the disk before it is needed."""
    if tensor.nbytes:
        tensor.flatten().view(torch.uint8)[::_PAGE_BYTES].sum()
    return tensor


class DeviceTransport:
    """Each layer in one copy, on CUDA on a stream of its own, so that it goes on beside the arithmetic."""

    def __init__(self, source: Source, device: torch.device) -> None:
        self.source, self._device = source, device
        self._slots: list[Tensor] = []
        self._staging: list[Tensor] = []
        self._on_cuda = device.type == "cuda"
        if self._on_cuda:
            self._stream = torch.cuda.Stream(device)
            self._ready, self._free = ([torch.cuda.Event() for _ in range(_SLOTS)] for _ in range(2))

    def brought(self, number: int) -> list[Tensor]:
        packed = self.source.packed(number, None)
        return self.source.layers[number].views(packed.to(self._device, non_blocking=packed.is_pinned()))

    def open(self) -> None:
        if self._slots:
            return
        size = max(layer.nbytes for layer in self.source.layers)
        staged = size if self.source.kind == "file" else 0
        staging = [_staging(staged, self._on_cuda) for _ in range(_SLOTS)]
        slots = [torch.empty(size, dtype=torch.uint8, device=self._device) for _ in range(_SLOTS)]
        if self._on_cuda:  # what the memory of the places was used for before may not have ended
            self._stream.wait_stream(torch.cuda.current_stream(self._device))
        self._slots, self._staging = slots, staging

    def fetch(self, number: int) -> list[Tensor]:
        place = number % _SLOTS
        if not self._on_cuda:
            packed = self.source.packed(number, self._staging[place])
            self._slots[place][: packed.nbytes].copy_(packed)
        else:
            self._ready[place].synchronize()  # what was copied out of the staging buffer the last time
            packed = self.source.packed(number, self._staging[place])
            with torch.cuda.device(self._device), torch.cuda.stream(self._stream):
                self._stream.wait_event(self._free[place])
                self._slots[place][: packed.nbytes].copy_(packed, non_blocking=True)
                self._ready[place].record(self._stream)
        return self.source.layers[number].views(self._slots[place])

    def received(self, number: int) -> None:
        if self._on_cuda:
            torch.cuda.current_stream(self._device).wait_event(self._ready[number % _SLOTS])

    def used(self, number: int) -> None:
        if self._on_cuda:
            self._free[number % _SLOTS].record(torch.cuda.current_stream(self._device))

    def release(self) -> None:
        if self._on_cuda and self._slots:  # both streams may still be at work on them
            self._stream.synchronize()
            torch.cuda.current_stream(self._device).synchronize()
        self._slots, self._staging = [], []


def _staging(nbytes: int, pin: bool) -> Tensor:
    """A buffer on the host, pinned if the system lets it."""
    if pin and nbytes:
        try:
            return torch.empty(nbytes, dtype=torch.uint8, pin_memory=True)
        except RuntimeError:
            _log.warning("the system pins no more host memory: weights from the file will come slower")
    return torch.empty(nbytes, dtype=torch.uint8)
