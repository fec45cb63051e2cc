from __future__ import annotations

from lowmem_fold.bench import presets
from lowmem_fold.bench.configuration import OURS, Configuration
from lowmem_fold.bench.peers import PEERS
from lowmem_fold.bench.presets import CHUNKED, STOCK, full, grid, quick
from lowmem_fold.precision import PRESETS as PRECISIONS


def test_the_named_peers_are_there() -> None:
    assert {STOCK, CHUNKED, presets.ARTICLE} <= PEERS.keys()


def test_a_grid_has_each_way_of_ours_and_a_peer_once() -> None:
    found = grid(Configuration(num_recycles=2), [OURS, STOCK], ["fp32", "int8"], ["resident", "streamed"], [64, 79])
    ways = {(each.code, each.precision, each.placement, each.length) for each in found}
    ours = {(OURS, p, w, n) for p in ("fp32", "int8") for w in ("resident", "streamed") for n in (64, 79)}
    assert ways == ours | {(STOCK, None, None, 64), (STOCK, None, None, 79)}
    assert len(found) == len(ways) and {each.num_recycles for each in found} == {2}


def test_every_quick_length_has_stock_and_ours_beside_each_other() -> None:
    found = quick()
    assert {each.model for each in found} == {"demo"} and {each.device for each in found} == {"cpu"}
    assert len(found) <= 15, "minutes, at some ten seconds each"
    assert len({each.precision for each in found} - {None}) == 3
    assert {each.placement for each in found if each.placement} == {"resident", "streamed"}
    for length in {each.length for each in found}:
        of_length = [each for each in found if each.length == length]
        assert of_length[0].is_reference and of_length[1].code == STOCK
    assert len(set(found)) == len(found)


def test_full_is_everything() -> None:
    found = full("demo", "cpu")
    ours = {(each.precision, each.placement) for each in found if each.code == OURS}
    assert ours == {(p, w) for p in PRECISIONS for w in ("resident", "staged", "streamed")}
    assert {each.code for each in found} == {OURS, *PEERS}
    assert len({each.length for each in found}) * (len(ours) + len(PEERS)) == len(found)
