"""A loaded model whose weights can be given up, and loaded again in another placement."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import WeightsLostError, first_line
from ..memory.exhaustion import forget_frames, is_out_of_memory, release_memory
from .layers import Residency

__all__ = ["PlacedModel"]

Load = Callable[[str], tuple[Any, Residency]]


class PlacedModel:
    """The one owner of a model's weights.

    Parameters
    ----------
    name : str
        Of the model, for errors.
    load : callable
        From a placement to the model, and what brings the weights of its layers. Called now, and by `place`.
    placement : str
        One of `PLACEMENTS`.

    Attributes
    ----------
    placement : str
        Where the weights live; of lost ones, where they were last.
    """

    def __init__(self, name: str, load: Load, placement: str) -> None:
        self._name, self._load, self.placement = name, load, placement
        self._loaded: tuple[Any, Residency] | None = None
        self._why_lost = ""
        self._take(placement)

    @property
    def model(self) -> Any:
        """The container of the weights; WeightsLostError where they are lost."""
        return self._present()[0]

    @property
    def residency(self) -> Residency:
        """What brings the weights of the layers; WeightsLostError where they are lost."""
        return self._present()[1]

    @property
    def is_lost(self) -> bool:
        """Whether there are no weights any more: `place` may load them again."""
        return self._loaded is None

    def place(self, placement: str) -> None:
        """Give the weights up, and load them in another placement.

        Raises
        ------
        WeightsLostError
            They could be loaded neither there nor where they were. A later call tries again.
        Exception
            Whatever loading raises; the weights are where they were.
        """
        before = None if self.is_lost else self.placement
        self._give_up()
        try:
            self._take(placement)
        except BaseException as error:
            forget_frames(error)  # which hold what was loaded of the weights
            release_memory()
            self._take_back(before, error)
            raise

    @contextmanager
    def in_use(self) -> Iterator[Residency]:
        """Within, what brings the weights of the layers.

        After an error what was brought of them is let go of, and, where memory ran out or the work was stopped, all
        that it held.
        """
        residency = self.residency
        try:
            yield residency
        except BaseException as error:
            residency.release()
            if is_out_of_memory(error) or not isinstance(error, Exception):
                forget_frames(error)  # a notebook keeps the traceback, and with it the states
                release_memory()
            raise

    def _take_back(self, placement: str | None, error: BaseException) -> None:
        why = first_line(error)
        if placement is not None:
            try:
                self._take(placement)
                return
            except Exception as again:
                forget_frames(again)
                release_memory()
                why = (
                    f"they could not be loaded in another placement ({why}), nor {placement} as before"
                    f" ({first_line(again)})"
                )
        self._why_lost = why
        raise WeightsLostError(self._lost()) from error

    def _take(self, placement: str) -> None:
        self._loaded = self._load(placement)
        self.placement = placement

    def _give_up(self) -> None:
        if self._loaded is not None:
            self._loaded[1].release()
            self._loaded = None
        gc.collect()

    def _present(self) -> tuple[Any, Residency]:
        if self._loaded is None:
            raise WeightsLostError(self._lost())
        return self._loaded

    def _lost(self) -> str:
        return f"the weights of {self._name} are lost: {self._why_lost}. Give --memory, or a smaller precision"
