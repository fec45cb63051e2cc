"""A linear layer whose weight is stored in one of our formats."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ModelError
from .formats import FORMATS
from .registry import quantize

__all__ = ["StoredLinear", "quantize_linear"]


class StoredLinear(nn.Module):
    """Drop-in for `nn.Linear` at inference: x (..., in_features) to (..., out_features).

    format: a word of `FORMATS`. tensors: what is stored, as `Format.tensors` describes it; kept as given, not copied
    (they may lie in a mapped file). bias: (out_features,) or None. compute: the dtype of the product.

    The buffers hold the tensors under their names, and `bias`. Nothing casts them: `.to(dtype)`, `.half()` and
    `.float()` leave them alone, `.to(device)` moves them. A forward pass needs, besides input and output in the
    compute dtype, one block of the unpacked matrix (`formats.BLOCK_WEIGHTS`), so no more than the whole. `weight`
    unpacks all of it at each reading, and a product with it does not quantize its input, as bnb-int8 does here.

    Raises `ModelError` where the tensors are not what the format says.
    """

    def __init__(
        self,
        format: str,
        out_features: int,
        in_features: int,
        tensors: Mapping[str, Tensor],
        bias: Tensor | None,
        compute: torch.dtype,
    ) -> None:
        super().__init__()
        self.format, self.compute = format, compute
        self.out_features, self.in_features = out_features, in_features
        if missing := [name for name in self._layout() if name not in tensors]:
            raise ModelError(f"tensor {missing[0]} of a weight in {format} is missing")
        self._check(tensors, prefix="")
        for name in self._layout():
            self.register_buffer(name, tensors[name])
        self.register_buffer("bias", bias)

    @property
    def weight(self) -> Tensor:
        """The matrix (out_features, in_features) in the compute dtype, unpacked anew."""
        return FORMATS[self.format].unpack(self._tensors(), self.out_features, self.in_features, self.compute)

    def forward(self, x: Tensor) -> Tensor:
        """x @ weight.T + bias in the compute dtype, returned in x's."""
        bias = None if self.bias is None else self.bias.to(self.compute)
        y = FORMATS[self.format].linear(x.to(self.compute), self._tensors(), self.out_features, bias)
        return y.to(x.dtype)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}, "
            f"format={self.format}, compute={self.compute}"
        )

    def _layout(self) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
        return FORMATS[self.format].tensors(self.out_features, self.in_features)

    def _tensors(self) -> dict[str, Tensor]:
        return {name: getattr(self, name) for name in self._layout()}

    def _check(self, tensors: Mapping[str, Tensor], prefix: str) -> None:
        """Refuses those of our tensors, found under `prefix` and their name, that are not what the format says."""
        for name, (shape, dtype) in self._layout().items():
            found = tensors.get(prefix + name)
            if found is not None and (tuple(found.shape), found.dtype) != (shape, dtype):
                raise ModelError(
                    f"tensor {prefix}{name} is {found.dtype} {tuple(found.shape)}, where {self.format} of "
                    f"{self.out_features} x {self.in_features} weights needs {dtype} {shape}"
                )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> StoredLinear:
        """What `.to()`, `.half()` and their like go through: moves, and never casts."""

        def moved(tensor: Tensor) -> Tensor:
            result = fn(tensor)
            return result if result.dtype == tensor.dtype else tensor.to(result.device)

        return super()._apply(moved, recurse)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Copying into a buffer would cast in silence: refuse what has another dtype."""
        self._check(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)


def quantize_linear(layer: nn.Module, format: str, compute: torch.dtype) -> StoredLinear:
    """`layer` (`nn.Linear` or a subclass) with its weight stored in `format`; its bias is kept as it is.

    Raises `InputError` where its shape cannot be stored so, or the back end is missing.
    """
    out_features, in_features = layer.weight.shape
    tensors = quantize(layer.weight.detach().float(), format)
    bias = None if layer.bias is None else layer.bias.detach()
    return StoredLinear(format, out_features, in_features, tensors, bias, compute)
