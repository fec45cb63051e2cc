"""Training in several processes of one machine: each folds a share of a step's windows, gradients are added up."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn

__all__ = ["add_gradients", "agree", "launch", "rank", "size"]


def rank() -> int:
    """This process's number; 0 leads."""
    return dist.get_rank() if dist.is_initialized() else 0


def size() -> int:
    """How many processes train."""
    return dist.get_world_size() if dist.is_initialized() else 1


def launch(processes: int, work: Callable[..., None], *arguments: object) -> None:
    """Call `work(*arguments)` in so many processes, of which this one is the first."""
    if processes == 1:
        return work(*arguments)
    with tempfile.TemporaryDirectory() as folder:
        context = mp.get_context("spawn")
        others = [
            context.Process(target=_join, args=(number, processes, folder, work, arguments), daemon=True)
            for number in range(1, processes)
        ]
        for other in others:
            other.start()
        _join(0, processes, folder, work, arguments)
        for other in others:
            other.join()


def _join(number: int, processes: int, folder: str, work: Callable[..., None], arguments: tuple) -> None:
    torch.set_num_threads(max(1, torch.get_num_threads() // processes))
    meeting_point = f"file://{Path(folder) / 'meeting-point'}"
    dist.init_process_group("gloo", init_method=meeting_point, rank=number, world_size=processes)
    try:
        work(*arguments)
    finally:
        dist.destroy_process_group()


def add_gradients(weights: Iterable[nn.Parameter]) -> None:
    """Give each weight the sum of its gradients in all processes."""
    if size() == 1:
        return
    gradients = [p.grad for p in weights if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    for gradient, summed in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(summed.view_as(gradient))


def agree(*values: float) -> list[float]:
    """What the first process says."""
    said: Tensor = torch.tensor(values, dtype=torch.float64)
    if size() > 1:
        dist.broadcast(said, src=0)
    return said.tolist()
