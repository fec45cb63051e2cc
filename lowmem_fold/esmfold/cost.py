"""How long the functions of ESMFold take: see `families.interface.Cost`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..families.interface import Schedule, Work
from ..pair.tiles import Tiling
from .work import FUNCTIONS, PER_BLOCK, PER_PASS, Widths

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["ESMFoldCost"]


class ESMFoldCost:
    """Of ESMFold v1, its functions counted by hand and timed on random weights."""

    # What a long protein spends most on is timed at such a length by itself, and costs no less than there.
    long_products: Mapping[str, str] = {"triangle_attention": "attention", "triangle_multiplication": "triangle"}
    # Their attention is little beside their weights at the lengths that are timed, where its price would be chance.
    little_attention: tuple[str, ...] = ("stem", "sequence")

    def functions(self) -> Sequence[str]:
        return tuple(FUNCTIONS)

    def work(self, config: Mapping[str, Any], length: int, tiling: Tiling) -> Mapping[str, Work]:
        widths = Widths.of(config)
        return {name: count(widths, length, tiling) for name, count in FUNCTIONS.items()}

    def schedule(self, config: Mapping[str, Any]) -> Schedule:
        widths = Widths.of(config)
        stem_weights = widths.stem_layers * widths.stem_layer_weights
        return Schedule(("heads",), PER_PASS, PER_BLOCK, widths.blocks, stem_weights, widths.sequence_track_weights)

    def probes(self, device: torch.device, dtypes: Sequence[str]) -> Mapping[tuple[str, str], nn.Module]:
        from .probes import probe_models

        return probe_models(device, dtypes)

    def calls(self, probe: nn.Module, length: int) -> Mapping[str, Callable[[], Any]]:
        from .probes import calls_of

        return calls_of(probe, length)

    def stock_peaks(self, lengths: Sequence[int], chunk_size: int | None) -> list[int]:
        from .peaks import FakeESMFold

        fake = FakeESMFold()
        return [fake.stock_peak_bytes(length, chunk_size) for length in lengths]
