"""Heights of blocks by the bytes that their temporaries may take, and temporaries that keep to them."""

from __future__ import annotations

import pytest
import torch

from lowmem_fold.bench.models import random_model, small_config
from lowmem_fold.esmfold.trunk import initial_pair_state
from lowmem_fold.memory.ledger import Ledger
from lowmem_fold.pair.tiles import Tiling

MIB = 2**20


@pytest.mark.parametrize(
    ("length", "product", "height"),
    [
        (128, True, 64),  # 32 MiB hold 256 rows of 2 x 128 float32
        (256, True, 64),
        (512, True, 64),
        (1024, True, 32),  # a sixteenth of a pair tensor from here on
        (1536, True, 48),
        (2048, True, 64),
        (128, False, 32),  # 4 MiB
        (1024, False, 4),
        (8192, False, 1),
    ],
)
def test_height(length: int, product: bool, height: int) -> None:
    assert Tiling().height(length, 2 * 128, product=product) == height


def test_a_height_is_between_one_row_and_all() -> None:
    assert Tiling(cache_bytes=1).height(100, 1000) == 1
    assert Tiling().height(7, 1) == 7
    assert Tiling(chunk_size=1000).height(70, 1) == 70
    assert Tiling(max_height=10).height(100, 1) == 10
    assert Tiling().height(100, 0) == 64


def test_the_first_pair_state_is_made_in_blocks() -> None:
    """Beside it there is no more than a block's ceiling, and what a row needs."""
    trunk = random_model(small_config()).trunk
    length, tiling = 120, Tiling(cache_bytes=MIB // 4)
    with Ledger() as ledger:
        z = initial_pair_state(trunk, torch.arange(length), tiling)
    assert z.nbytes > 4 * tiling.cache_bytes
    assert ledger.peak_bytes <= z.nbytes + tiling.cache_bytes + 20 * length * 8
