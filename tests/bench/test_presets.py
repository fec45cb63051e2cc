from __future__ import annotations

from types import SimpleNamespace

import pytest

from lowmem_fold import devices
from lowmem_fold.bench import meters, presets
from lowmem_fold.bench.configuration import OURS, Configuration
from lowmem_fold.bench.peers import PEERS
from lowmem_fold.bench.presets import CHUNKED, STOCK, card, full, grid, quick
from lowmem_fold.errors import InputError
from lowmem_fold.planning import plan
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


class FakePlanner:
    """So many residues fit resident, so many more streamed; in fp16 twice as many."""

    def __init__(self, memory, model, precision, device, placement, host_memory, num_recycles) -> None:
        self.asked = memory, precision, placement

    def plans(self, length: int, *, presets: bool = True) -> SimpleNamespace:
        memory, precision, placement = self.asked
        weight = length / 2 if precision != "fp32" else length
        limits = {"resident": memory, "staged": memory, "streamed": 2 * memory}
        fits = [name for name, limit in limits.items() if weight <= limit and placement in (None, name)]
        return SimpleNamespace(chosen=SimpleNamespace(placement=fits[0]) if fits else None)


def with_card(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(plan, "Planner", FakePlanner)
    monkeypatch.setattr(devices, "device_here", lambda name: name)
    monkeypatch.setattr(meters, "free_before_context", lambda name: free)


def ways(configurations: list[Configuration], precision: str) -> list[tuple[int, str | None]]:
    return [(each.length, each.placement) for each in configurations if each.precision == precision]


def test_the_planner_decides_what_a_card_is_tried_with(monkeypatch: pytest.MonkeyPatch) -> None:
    with_card(monkeypatch, 512)
    found = card("folder", "cuda:1")
    assert ways(found, "fp32") == [(128, "resident"), (512, "resident"), (1024, "streamed")]
    assert ways(found, "fp16") == [(512, "resident"), (512, "staged"), (512, "streamed"), (2048, "streamed")]
    assert {each.code for each in found} == {OURS, *PEERS}
    assert {(each.model, each.device) for each in found} == {("folder", "cuda:1")}
    assert len(found) <= 20 and len(set(found)) == len(found)
    assert [each.length for each in found] == sorted(each.length for each in found)


def test_a_budget_takes_the_place_of_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    with_card(monkeypatch, 10**9)
    monkeypatch.setattr(FakePlanner, "plans", lambda self, length, **_: SimpleNamespace(chosen=None))
    with pytest.raises(InputError, match="nothing that --preset card tries fits 6GB on cuda"):
        card("folder", memory="6GB")


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_card_without_a_card(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    monkeypatch.setattr(devices, "device_here", lambda name: None if name == "cuda" else name)
    with pytest.raises(InputError, match="try --preset quick"):
        card(device=device)


def test_full_is_everything() -> None:
    found = full("demo", "cpu")
    ours = {(each.precision, each.placement) for each in found if each.code == OURS}
    assert ours == {(p, w) for p in PRECISIONS for w in ("resident", "staged", "streamed")}
    assert {each.code for each in found} == {OURS, *PEERS}
    assert len({each.length for each in found}) * (len(ours) + len(PEERS)) == len(found)
