"""One vector of a protein, from the states of its residues. The names are known without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["POOLS", "parse_pool", "pooled"]

#: In whatever order they are asked for, several are concatenated.
POOLS = ("mean", "max", "cls", "std")


def parse_pool(pool: str | Sequence[str] | None) -> tuple[str, ...]:
    """The poolings asked for: `mean`, `mean,std` or a sequence of names; None is none. InputError for others."""
    if pool is None:
        return ()
    names = tuple(word.strip() for word in pool.split(",")) if isinstance(pool, str) else tuple(pool)
    for name in names:
        if name not in POOLS:
            raise InputError(f"unknown pooling {name!r}; choose from: {', '.join(POOLS)}; several are written mean,std")
    if len(set(names)) < len(names):
        raise InputError(f"pooling {','.join(names)}: each can be named once")
    return names


def pooled(states: Tensor, cls: Tensor | None, names: Sequence[str]) -> Tensor:
    """Pool the states of one protein.

    Parameters
    ----------
    states : Tensor, shape=(..., L, D), dtype=float32
        Of its residues alone.
    cls : Tensor, shape=(..., D), optional
        Of the token before them.
    names : sequence of str
        Of `POOLS`: `mean` and `max` over residues; `cls`; `std`, the standard deviation over residues (divided by L:
        that of one residue is 0).

    Returns
    -------
    Tensor, shape=(..., len(names) * D), dtype=float32
        The parts behind one another, in the order of `names`.
    """
    import torch

    return torch.cat([_part(name, states, cls) for name in names], dim=-1)


def _part(name: str, states: Tensor, cls: Tensor | None) -> Tensor:
    if name == "cls":
        assert cls is not None
        return cls
    if name == "mean":
        return states.mean(-2)
    return states.amax(-2) if name == "max" else states.std(-2, correction=0)
