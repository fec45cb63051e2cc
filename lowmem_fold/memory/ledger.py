"""Live bytes of tensors, counted as operations make and drop them.

On fake tensors (`torch._subclasses.FakeTensorMode`) the ledger tells the peak of any length on any machine, without the
memory and without the arithmetic. It does not see what a kernel allocates inside itself: `allocator_peak_bytes` does.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["Ledger"]

_DEVICE = torch.ops.prim.device.default


class Ledger(TorchDispatchMode):
    """Counts the bytes of every storage that is made within its context; those made before, such as weights, are not.

    live_bytes: of the storages that exist now.
    peak_bytes: the most that there were at once.
    peak_operation: the operation that made it so.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live_bytes = self.peak_bytes = 0
        self.peak_operation = ""
        self._known: dict[int, weakref.ref] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is not _DEVICE:  # half of all calls on fake tensors, and none makes a storage
            self._count(func, _tensors(result), (args, kwargs))
        return result

    def _count(self, func: Any, tensors: Iterable[Tensor], inputs: Any) -> None:
        for tensor in tensors:
            storage = tensor.untyped_storage()
            key = storage._cdata
            if key in self._known or any(t.untyped_storage()._cdata == key for t in _tensors(inputs)):
                continue  # counted before, or a view of what is older than the ledger
            size = storage.nbytes()
            self._known[key] = weakref.ref(storage, partial(self._forget, key, size))
            self.live_bytes += size
            if self.live_bytes > self.peak_bytes:
                self.peak_bytes, self.peak_operation = self.live_bytes, str(func)

    def _forget(self, key: int, size: int, _: weakref.ref) -> None:
        del self._known[key]
        self.live_bytes -= size


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
