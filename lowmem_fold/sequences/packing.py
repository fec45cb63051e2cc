"""Things side by side, as many as a limit holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

__all__ = ["packed"]

T = TypeVar("T")


def packed(items: Iterable[T], size: Callable[[T], int], most: int) -> list[list[T]]:
    """Neighbours together, as long as their sizes sum up to no more than `most`; what is larger is alone."""
    groups: list[list[T]] = []
    room = 0
    for item in items:
        taken = size(item)
        if not groups or taken > room:
            groups.append([])
            room = most
        groups[-1].append(item)
        room -= taken
    return groups
