"""A memory budget that holds on a device, not only in a plan."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import InputError
from .budget import format_memory

if TYPE_CHECKING:
    import torch

__all__ = ["CUDA_CONTEXT_BYTES", "enforced"]

CUDA_CONTEXT_BYTES = 512 * 2**20
"""What CUDA's context, with the kernels that it loads, takes of a card beside torch's allocator. An assumption."""


@contextmanager
def enforced(device: str | torch.device, memory_bytes: int) -> Iterator[None]:
    """Within, torch's allocator gives out no more of a CUDA device than a card of so many bytes would have for it.

    An allocation beyond that is `torch.OutOfMemoryError`, on a larger card and under a driver that would use main
    memory without a word as well. On other devices nothing is enforced: there the planner's choice is all that a
    budget does.

    Parameters
    ----------
    device : str or torch.device
        `cuda` is the current device.
    memory_bytes : int
        All that the process may take of the card; CUDA's context, CUDA_CONTEXT_BYTES, is subtracted.

    Raises
    ------
    InputError
        Nothing would be left beside the context.
    """
    import torch

    target = torch.device(device)
    if target.type != "cuda":
        yield
        return
    left = memory_bytes - CUDA_CONTEXT_BYTES
    if left <= 0:
        raise InputError(
            f"--memory {format_memory(memory_bytes)} is too little for {target}: CUDA's own context takes"
            f" {format_memory(CUDA_CONTEXT_BYTES)} of it"
        )
    index = torch.cuda.current_device() if target.index is None else target.index
    total = torch.cuda.get_device_properties(index).total_memory
    before = _fraction(index)
    torch.cuda.set_per_process_memory_fraction(min(before, left / total), index)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(before, index)


def _fraction(index: int) -> float:
    """The limit in force; an older torch does not tell, and is taken to have none."""
    import torch

    read = getattr(torch.cuda, "get_per_process_memory_fraction", None)
    return 1.0 if read is None else float(read(index))
