"""What changes while training goes on: learning rate, window length, recycles. Progress runs from 0 to 1."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["clash_scale", "fape_clamps", "learning_rate", "num_recycles", "parse_crops", "window_length"]


def learning_rate(peak: float, step: int, warmup: int, progress: float) -> float:
    """Linear warm-up over `warmup` steps, then a cosine down to a fiftieth of the peak."""
    decay = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return peak * min(1.0, (step + 1) / warmup) * decay


def parse_crops(text: str) -> list[tuple[float, int]]:
    """`"0:64,0.5:96"` as [(0.0, 64), (0.5, 96)]: from which progress on the window is how long."""
    stages = [stage.split(":") for stage in text.split(",")]
    return sorted((float(since), int(length)) for since, length in stages)


def window_length(crops: list[tuple[float, int]], progress: float) -> int:
    """Residues of the training window at this progress."""
    return [length for since, length in crops if since <= progress][-1]


def num_recycles(seed: int, step: int, progress: float) -> int:
    """Recycles of a step, drawn from its number: none at first, then up to 2, more often later."""
    chance = 0.0 if progress < 0.08 else 0.3 if progress < 0.6 else 0.6
    first, second = np.random.default_rng([seed, step, 1]).random(2)
    return 0 if first >= chance else 1 + int(second < 0.5)


def fape_clamps(seed: int, step: int, size: int, progress: float) -> list[float]:
    """Angstrom at which each chain's FAPE is cut off: 30 while little is in place, later 10 for nine in ten."""
    wide = min(1.0, max(0.1, 1.0 - (progress - 0.25) / 0.25))
    return [30.0 if draw < wide else 10.0 for draw in np.random.default_rng([seed, step, 2]).random(size)]


def clash_scale(progress: float) -> float:
    """Weight of the clash term: none in the first fifth, then rising to 1 at half."""
    return min(1.0, max(0.0, (progress - 0.2) / 0.3))
