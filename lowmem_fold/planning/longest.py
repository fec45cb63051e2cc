"""The longest protein that a budget holds."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["longest"]

STEP = 10
"""The longest protein is found to this many residues."""


def longest(needed: Callable[[int], float], budget: int) -> int:
    """Most residues, a multiple of STEP, whose bytes `needed(length)` a budget holds; 0 if it holds not even STEP.

    Bytes grow with the length, and nearly with its square: the next guess is where that law, through the two lengths
    that bracket the limit, meets the budget.
    """
    low, high = 1, 100
    at_low, at_high = needed(low * STEP), needed(high * STEP)
    if at_low > budget:
        return 0
    while at_high <= budget:
        low, at_low = high, at_high
        high *= 2
        at_high = needed(high * STEP)
    while high - low > 1:
        share = (budget - at_low) / (at_high - at_low)
        guess = int((low**2 + share * (high**2 - low**2)) ** 0.5)
        middle = min(max(guess, low + 1), high - 1)
        at_middle = needed(middle * STEP)
        if at_middle <= budget:
            low, at_low = middle, at_middle
        else:
            high, at_high = middle, at_middle
    return low * STEP
