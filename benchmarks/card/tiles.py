"""Seconds of a block by the bytes of a tile, the rows of a product, TF32, and half precision."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch

from lowmem_fold.bench.records import Measurement
from lowmem_fold.esmfold.trunk import run_block
from lowmem_fold.pair.tiles import Tiling
from lowmem_fold.quantization.formats import DTYPES

from .block import full_width_block, random_states
from .card import Card, Findings
from .facts import allowing_tf32

TILE_MIB = (4, 24, 64, 192)
PRODUCT_ROWS = (64, 256)


@torch.no_grad()
def run(card: Card) -> Iterator[Measurement]:
    for length in card.lengths(256, 512, 1024):
        for tile_mib in TILE_MIB:
            for rows in PRODUCT_ROWS:
                # Room for both blocks of a product, which hold `rows` rows of the pair state's width each.
                room = max(32 * 2**20, rows * length * 2 * 128 * 4)
                tiling = Tiling(budget_bytes=room, cache_bytes=tile_mib * 2**20, max_height=rows)
                asked = {"length": length, "tile_bytes": tiling.cache_bytes, "product_rows": rows}
                yield card.measured("card-tiles", asked, partial(_time, card, length, tiling, "fp32", False))
        usual = Tiling.for_device(card.device)
        if card.is_cuda:
            asked = {"length": length, "tf32": True}
            yield card.measured("card-tiles", asked, partial(_time, card, length, usual, "fp32", True))
        for pair in ("fp16", "bf16"):
            asked = {"length": length, "pair": pair}
            yield card.measured("card-tiles", asked, partial(_time, card, length, usual, pair, False))


def _time(card: Card, length: int, tiling: Tiling, pair: str, tf32: bool, found: Findings) -> None:
    block, (s, z) = full_width_block(card.device), random_states(length, card.device)
    z, operand = z.to(DTYPES[pair]), None if pair == "fp32" else DTYPES[pair]
    with allowing_tf32(tf32):
        found.add(seconds=card.seconds(lambda: run_block(block, s, [z], tiling, operand), 3))
