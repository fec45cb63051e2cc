"""The one owner of weights that can be placed anew."""

from __future__ import annotations

import weakref

import pytest
import torch

from lowmem_fold.errors import WeightsLostError
from lowmem_fold.residency.placed_model import PlacedModel


class Loader:
    """Loads a model that is its placement, as long as it can; knows what was released."""

    def __init__(self) -> None:
        self.fails: dict[str, BaseException] = {}
        self.loaded: list[str] = []
        self.released: list[str] = []

    def __call__(self, placement: str):
        held = torch.ones(1000)
        if placement in self.fails:
            raise self.fails[placement]
        self.loaded.append(placement)
        return placement, self.Residency(self, placement, held)

    class Residency:
        def __init__(self, loader: Loader, placement: str, held: torch.Tensor) -> None:
            self.loader, self.placement, self.held = loader, placement, held

        def release(self) -> None:
            self.loader.released.append(self.placement)


@pytest.fixture
def loader() -> Loader:
    return Loader()


def test_another_placement_takes_the_place_of_the_one_before(loader: Loader) -> None:
    weights = PlacedModel("a model", loader, "resident")
    assert (weights.model, weights.placement, weights.is_lost) == ("resident", "resident", False)
    weights.place("streamed")
    assert (weights.model, weights.residency.placement, weights.placement) == ("streamed",) * 3
    assert loader.released == ["resident"]


@pytest.mark.parametrize("error", [MemoryError("no room"), KeyboardInterrupt()], ids=["memory", "stop"])
def test_after_an_error_the_weights_are_where_they_were(loader: Loader, error: BaseException) -> None:
    weights = PlacedModel("a model", loader, "resident")
    loader.fails["staged"] = error
    with pytest.raises(type(error)):
        weights.place("staged")
    assert (weights.model, weights.placement) == ("resident", "resident") and not weights.is_lost


def test_lost_weights_say_so_and_can_be_loaded_again(loader: Loader) -> None:
    weights = PlacedModel("a model", loader, "resident")
    loader.fails = {name: MemoryError(f"no room for {name}") for name in ("resident", "staged")}
    said = r"the weights of a model are lost: .*\(MemoryError: no room for staged\), nor resident as before .*--memory"
    with pytest.raises(WeightsLostError, match=said):
        weights.place("staged")
    assert weights.is_lost and weights.placement == "resident"
    for ask in (lambda: weights.model, lambda: weights.residency):
        with pytest.raises(WeightsLostError, match=said):
            ask()
    with pytest.raises(WeightsLostError, match="no room for staged"):
        weights.place("staged")
    weights.place("streamed")
    assert weights.model == "streamed" and not weights.is_lost


def test_what_was_half_loaded_is_let_go_of(loader: Loader) -> None:
    """Though somebody keeps the error, as a notebook does."""
    kept = []

    def failing(placement: str):
        if placement == "staged":
            half = torch.ones(1000)
            kept.append(weakref.ref(half))
            raise MemoryError("no room")
        return loader(placement)

    weights = PlacedModel("a model", failing, "resident")
    with pytest.raises(MemoryError) as caught:
        weights.place("staged")
    assert kept[0]() is None and caught.value.__traceback__ is not None


@pytest.mark.parametrize("error", [MemoryError("no room"), KeyboardInterrupt(), ValueError("wrong")])
def test_an_error_in_use_lets_go_of_what_was_brought(loader: Loader, error: BaseException) -> None:
    """And, where memory ran out or the work was stopped, of what its frames held; the weights stay."""
    weights, held = PlacedModel("a model", loader, "streamed"), []

    def work() -> None:
        states = torch.ones(1000)
        held.append(weakref.ref(states))
        raise error

    with pytest.raises(type(error)), weights.in_use() as residency:
        assert residency is weights.residency and loader.released == []
        work()
    assert loader.released == ["streamed"] and weights.model == "streamed"
    assert (held[0]() is None) is not isinstance(error, ValueError)


def test_use_without_an_error_keeps_what_was_brought(loader: Loader) -> None:
    weights = PlacedModel("a model", loader, "streamed")
    with weights.in_use():
        pass
    assert loader.released == []
