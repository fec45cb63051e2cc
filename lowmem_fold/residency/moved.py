"""A layer whose weights come and go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .placements import layer_tensors, name_in_files

__all__ = ["MovedLayer"]

_ALIGNMENT = 256


class _Place(NamedTuple):
    """Where a tensor belongs, and what stands there while it is away."""

    owner: nn.Module
    key: str
    blank: Tensor
    name_in_files: str


@dataclass(frozen=True)
class MovedLayer:
    """A layer of a model; between `take` and `give` its tensors have shapes and dtypes, but no bytes.

    Its tensors are always in one order, that of `shapes`.
    """

    module: nn.Module
    places: tuple[_Place, ...]

    @classmethod
    def of(cls, prefix: str, module: nn.Module) -> MovedLayer:
        """Of a module with that name in its model."""
        places = [
            _Place(owner, key, _blank(tensor), name_in_files(name, key, owner))
            for name, key, owner, tensor in layer_tensors(prefix, module)
        ]
        return cls(module, tuple(places))

    @property
    def names(self) -> list[str]:
        """Of the tensors in a checkpoint."""
        return [place.name_in_files for place in self.places]

    @property
    def dtypes(self) -> list[torch.dtype]:
        """Of the tensors, as they are used."""
        return [place.blank.dtype for place in self.places]

    @property
    def nbytes(self) -> int:
        """Of all tensors in one buffer, each at a multiple of 256 bytes."""
        return sum(_aligned(place.blank.nbytes) for place in self.places)

    def views(self, buffer: Tensor) -> list[Tensor]:
        """The tensors as views of a buffer of bytes, one after another."""
        return list(self._views(buffer))

    def _views(self, buffer: Tensor) -> Iterator[Tensor]:
        start = 0
        for place in self.places:
            blank = place.blank
            yield buffer[start : start + blank.nbytes].view(blank.dtype).view(blank.shape)
            start += _aligned(blank.nbytes)

    def tensors(self) -> list[Tensor]:
        """What stands in the module now."""
        return [getattr(place.owner, place.key) for place in self.places]

    def give(self, tensors: Sequence[Tensor]) -> None:
        """Set the tensors."""
        for place, tensor in zip(self.places, tensors, strict=True):
            _set(place.owner, place.key, tensor)

    def take(self) -> None:
        """Leave the shapes alone."""
        for place in self.places:
            _set(place.owner, place.key, place.blank)


def _blank(tensor: Tensor) -> Tensor:
    return torch.empty_like(tensor, device="meta")


def _set(owner: nn.Module, key: str, tensor: Tensor) -> None:
    if key in owner._parameters:
        owner._parameters[key] = nn.Parameter(tensor, requires_grad=False)
    else:
        owner._buffers[key] = tensor


def _aligned(nbytes: int) -> int:
    return -(-nbytes // _ALIGNMENT) * _ALIGNMENT
