"""The longest protein that fits each size of card, ours and stock transformers', by one ruler.

Ours: activations at a few lengths (`facts`), between which their logarithm is taken to be linear in that of the length;
the weights of a placement and the reserve are added. Stock: the family runs its own code at short lengths, and the
law through these, of which it is a sum of powers of the length, gives the others; it has all weights on the card, and
the same reserve.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..families.interface import FoldingFamily
from ..families.registry import DEFAULT_MODEL
from ..memory.reserve import reserve_bytes
from ..system.cache import read_json, write_json
from .facts import Facts, FactSource, digest
from .longest import longest

__all__ = ["CARDS_GB", "LENGTHS", "PRECISIONS", "STOCK", "Longest", "longest_proteins", "stock_bytes"]

CARDS_GB = (8, 12, 16, 24, 40, 80)
"""Sizes of cards, in 10^9 bytes: what is sold under a number has no less."""
PRECISIONS = ("fp32", "fp16", "int8", "int4", "fp16,pair=fp16", "int8,pair=fp16")
LENGTHS = tuple(int(64 * 1.3**k) for k in range(22))
"""At which ours is worked out: 64 to 15,808."""
STOCK = {"chunk_size 64": 64, "unchunked": None}
_STOCK_LENGTHS = (256, 384, 512)


@dataclass(frozen=True)
class Longest:
    """Most residues, to 10, by the size of the card in GB; 0 where nothing fits.

    code is `lowmem_fold` or `transformers`; placement is one of ours, or how stock is chunked.
    """

    code: str
    precision: str
    placement: str
    residues: Mapping[int, int]


def longest_proteins(
    model: str = DEFAULT_MODEL, precisions: Sequence[str] = PRECISIONS, *, stock: bool = True
) -> list[Longest]:
    """Of each precision in each placement on CUDA; then of stock code in fp32, and with its stem in fp16.

    Parameters
    ----------
    model : str
        As of `plan`.
    precisions : sequence of str
    stock : bool
        Whether to work out stock's too, which has ESMFold v1's dimensions.
    """
    source = FactSource(model, "cuda", 3)
    facts = {length: source.at(length, precisions) for length in LENGTHS}
    rows = []
    for precision in facts[LENGTHS[0]]:
        of_lengths = {length: found[precision] for length, found in facts.items()}
        for placement in of_lengths[LENGTHS[0]].placements:
            rows.append(_row("lowmem_fold", precision, placement, _needed(of_lengths, placement)))
    return [*rows, *(_stock_rows(source) if stock else ())]


def _row(code: str, precision: str, placement: str, needed: Callable[[int], float]) -> Longest:
    return Longest(code, precision, placement, {size: longest(needed, size * 10**9) for size in CARDS_GB})


def _needed(facts: Mapping[int, Facts], placement: str) -> Callable[[int], float]:
    weights = facts[LENGTHS[0]].placements[placement].phases
    points = np.log(list(facts))
    peaks = {phase: np.log([found.activations[phase] for found in facts.values()]) for phase in weights}

    def needed(length: int) -> float:
        if length > LENGTHS[-1]:
            return float("inf")
        peak = max(weights[phase] + int(np.exp(np.interp(np.log(length), points, peaks[phase]))) for phase in weights)
        return peak + reserve_bytes("cuda", peak)

    return needed


def _stock_rows(source: FactSource) -> Iterator[Longest]:
    for precision, facts in source.at(LENGTHS[0], ["fp32", "fp16"]).items():
        weights = facts.placements["resident"].phases["trunk"]
        for name, chunk_size in STOCK.items():
            activations = stock_bytes(source.family, chunk_size)

            def needed(length: int, weights: int = weights, activations: Callable = activations) -> float:
                peak = weights + int(activations(length))
                return peak + reserve_bytes("cuda", peak)

            yield _row("transformers", precision, name, needed)


def stock_bytes(family: FoldingFamily, chunk_size: int | None) -> Callable[[int], float]:
    """Activations of stock code by the length: a sum of its first, second and, unchunked, third power."""
    powers = [1, 2] if chunk_size else [1, 2, 3]
    lengths = _STOCK_LENGTHS[-len(powers) :]
    peaks = _stock_peaks(family, chunk_size, lengths)
    factors = np.linalg.solve(np.power.outer(np.array(lengths, dtype=float), powers), np.array(peaks, dtype=float))
    return lambda length: float(factors @ np.power(float(length), powers))


def _stock_peaks(family: FoldingFamily, chunk_size: int | None, lengths: Sequence[int]) -> list[int]:
    name = f"plan-stock-{digest(family.name, chunk_size, list(lengths))}"
    known = read_json(name)
    if not isinstance(known, list):
        known = family.cost.stock_peaks(lengths, chunk_size)
        write_json(name, known)
    return known
