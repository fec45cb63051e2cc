"""Sweeps with a name, and the lists of configurations that they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import product

from ..errors import InputError
from ..families.registry import DEFAULT_MODEL
from ..planning.options import PLACEMENTS
from ..precision import PRESETS as PRECISIONS
from .configuration import OURS, Configuration

__all__ = ["CHUNKED", "PRESETS", "STOCK", "Preset", "full", "grid", "quick"]

#: Of `bench.peers.PEERS`: what ratios are to, and the one whose memory stock's users choose for long chains.
STOCK, CHUNKED = "stock fp32", "stock chunk_size 64"
ARTICLE = "the article's recipe"

_QUICK_LENGTHS = (79, 128, 173)
_FULL_LENGTHS = {"cpu": (64, 128, 256), "cuda": (128, 256, 512, 1024, 2048, 4096)}


@dataclass(frozen=True)
class Preset:
    """A sweep.

    Attributes
    ----------
    about : str
    model : str
        Unless another one is named.
    device : str
        Likewise.
    limit_seconds : float
        For each configuration.
    configurations : callable
        From a model, a device and a budget (or None) to the list.
    """

    about: str
    model: str
    device: str
    limit_seconds: float
    configurations: Callable[[str, str, str | None], list[Configuration]]


def grid(
    first: Configuration,
    codes: Iterable[str],
    precisions: Iterable[str],
    placements: Iterable[str],
    lengths: Iterable[int],
) -> list[Configuration]:
    """All of them with each other, else as the first; a peer, which is one precision and placement, once a length."""
    ways = list(product(precisions, placements))
    return [
        _peers(first, code, length)
        if way is None
        else replace(first, code=code, precision=way[0], placement=way[1], length=length)
        for length, code in product(lengths, codes)
        for way in (ways if code == OURS else [None])
    ]


def quick(model: str = "demo", device: str = "cpu", memory: str | None = None) -> list[Configuration]:
    """Minutes on the CPU of a laptop: stock beside ours, in three precisions and two placements."""
    first = Configuration(model=model, device=device, memory=memory, num_recycles=1, repeats=3)
    configurations = grid(first, [OURS, STOCK], ["fp32"], PLACEMENTS[:1], _QUICK_LENGTHS)
    configurations += grid(first, [OURS], ["fp16", "int8"], PLACEMENTS[:1], _QUICK_LENGTHS[1:])
    configurations += grid(first, [OURS], ["fp32"], PLACEMENTS[-1:], _QUICK_LENGTHS[1:])
    configurations += [_peers(first, code, _QUICK_LENGTHS[-1]) for code in (CHUNKED, ARTICLE)]
    return _by_length(configurations)


def full(model: str = DEFAULT_MODEL, device: str = "auto", memory: str | None = None) -> list[Configuration]:
    """Every peer, and ours in every precision and placement, at every length: hours at full size."""
    from ..system.devices import device_here
    from .peers import PEERS

    here = device_here(device)
    if here is None:
        raise InputError(f"{device} is not here; this machine has no CUDA device")
    lengths = _FULL_LENGTHS.get(here.partition(":")[0], _FULL_LENGTHS["cpu"])
    first = Configuration(model=model, device=here, memory=memory)
    return _by_length(grid(first, [OURS, *PEERS], PRECISIONS, PLACEMENTS, lengths))


#: The values of `lowmem-fold bench --preset`.
PRESETS = {
    "quick": Preset("minutes on a laptop's CPU, with the demo model", "demo", "cpu", 60, quick),
    "full": Preset("everything: hours", DEFAULT_MODEL, "auto", 3600, full),
}


def _peers(first: Configuration, code: str, length: int) -> Configuration:
    return replace(first, code=code, precision=None, placement=None, chunk_size=None, length=length)


def _by_length(configurations: Iterable[Configuration]) -> list[Configuration]:
    """The short ones first, and of one length what the others are compared with."""
    return sorted(configurations, key=lambda each: (each.length, not each.is_reference, each.code != STOCK))
