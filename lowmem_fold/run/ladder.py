"""The ladder that a run steps down when memory runs out: smaller placements, low blocks, then allowed precisions."""

from __future__ import annotations

import logging
import math
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import BudgetError, LowmemFoldError, ModelError, WeightsLostError, first_line
from ..memory.exhaustion import is_out_of_memory, release_memory
from ..planning.options import PLACEMENTS
from .options import RunOptions
from .rung import NoRoomError, Rung

if TYPE_CHECKING:
    from ..folder import Folder
    from ..sequences.records import Record

__all__ = ["Ladder"]

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

LOW_BLOCK = 4
"""Rows of a block where the smallest placement is still too large, and no height was asked for. It frees little: 14 of
85 MiB at 256 residues, 27 of 297 at 512, 108 of 4,260 at 2,048 (ESMFold v1's widths, live bytes beside the weights;
random weights, tried by hand, no record). So it is no step before a smaller placement, which frees gigabytes, and no
height between is worth a fold of its own."""


class Ladder:
    """A model that gives way when memory runs out.

    A placement that a record needed stays for those after it, unless the record fitted nowhere. Block heights and a
    lower precision are for one record; but where one was folded at last, no other of its length or more is tried on the
    rungs that were too high for it.

    Parameters
    ----------
    load : callable
        As ``lowmem_fold.load``.
    options : RunOptions
    length : int
        Tokens of the longest record.

    Raises
    ------
    InputError, ModelError
        As ``load``; ModelError too if the weights fit in no placement.
    """

    def __init__(self, load: Callable[..., Folder], options: RunOptions, length: int) -> None:
        self._load, self._options = load, options
        self._folder: Folder | None = None
        self._precision: str | None = None  # of the model that is loaded; None: what the run asks for
        self._starts: dict[str | None, str | None] = {}  # by precision: where records begin, None if it cannot be had
        self._lengths: dict[str | None, int] = {}  # by precision: tokens that it was loaded for
        self._refused: dict[str | None, int] = {}  # by precision: tokens for which the planner finds no room
        self._placements: dict[str | None, Sequence[str]] = {}
        self._not_to_be_had: set[tuple[str | None, str]] = set()
        self._too_high: dict[Rung, int] = {}  # and the tokens of the shortest record that it was too high for
        self._last = ("", "")  # kind and first line of the last error: an error itself may hold tensors
        self._enter(None, length)

    @property
    def top(self) -> Rung:
        """Where the next record begins."""
        return Rung(None, str(self._starts[None]), self._options.chunk_size)

    def model(self) -> Folder:
        """The model in the precision that the run asks for, in the present placement."""
        return self._at(self.top)

    def placed(self) -> None:
        """Take over the placement that the model has changed to by itself, to keep to its budget."""
        if self._folder is not None and self._precision is None and self._folder.placement != self._starts[None]:
            self._settle(self._folder.placement)

    def lower_placement(self) -> bool:
        """Step down to the next placement that can be had, for good; False if there is none."""
        for placement in self._below(None):
            if self._can_be_had(Rung(None, placement, None)):
                self._settle(placement)
                return True
        return False

    def fold(self, record: Record, attempt: Callable[[Folder, Rung], _T]) -> tuple[_T, dict[str, Any]]:
        """Try to fold a record in one way after the other.

        Parameters
        ----------
        record : Record
        attempt : callable
            Folder it with the model, in blocks as the rung has them. If its error is want of memory, the next rung is
            tried; all that the attempt made must be free when its error is.

        Returns
        -------
        result : Any
            What ``attempt`` returned.
        notes : dict
            The rung that worked, and ``attempts``.

        Raises
        ------
        NoRoomError
            If every rung was too high.
        BudgetError
            If the model was loaded with a budget, and none is planned to fit.
        Exception
            Any other error of ``attempt``.
        """
        tried: list[Rung] = []
        too_high: list[Rung] = []
        refusals: list[str] = []
        for rung in self._rungs(record, tried):
            if not self._can_be_had(rung):
                continue
            tried.append(rung)
            try:
                result = attempt(self._at(rung), rung)
            except BudgetError as error:
                self._give_way(error, f"{record.id}: no room is planned ({rung})")
                self._refuse(rung.precision, record)
                refusals.append(str(error))
            except Exception as error:
                if not (is_out_of_memory(error) or isinstance(error, WeightsLostError)):
                    raise
                self._give_way(error, f"{record.id}: out of memory ({rung})")
                too_high.append(rung)
            else:
                return result, {**self._worked(record, rung, too_high).notes, "attempts": len(too_high) + 1}
            release_memory()
        if refusals and not too_high:
            raise BudgetError(refusals[0])
        raise NoRoomError(len(tried), rung, *self._last)

    def _worked(self, record: Record, rung: Rung, too_high: Sequence[Rung]) -> Rung:
        """The rung as it was: a model may have changed its placement by itself, to keep to its budget."""
        assert self._folder is not None
        rung = replace(rung, placement=self._folder.placement)
        for each in too_high:
            self._too_high[each] = min(record.num_tokens, self._too_high.get(each, record.num_tokens))
        if rung != self.top:
            _log.warning("%s: folded at attempt %d (%s)", record.id, len(too_high) + 1, rung)
        if rung.precision is None and rung.placement != self._starts[None]:
            self._settle(rung.placement)
        return rung

    def _settle(self, placement: str) -> None:
        _log.warning("memory is short: weights are %s from here on, no longer %s", placement, self._starts[None])
        self._starts[None] = placement

    def _rungs(self, record: Record, tried: Sequence[Rung]) -> Iterator[Rung]:
        """From where the run stands. Each is made when those before it have failed: a lower precision is loaded for it.

        tried: those that were, as they become known.
        """
        precisions = (None, *self._options.allow_precision)
        for precision in precisions:
            if precision == precisions[-1] or not self._is_refused(precision, record):
                yield from self._rungs_in(precision, record)
        if not tried:  # what worked for another record cannot be had any more
            yield self._lowest(None, [self.top.placement, *self._below(None)][-1], record)

    def _rungs_in(self, precision: str | None, record: Record) -> Iterator[Rung]:
        """Yield one rung in each placement, then low blocks in the last placement that is available."""
        last = None
        for placement in self._ways(precision, record):
            rung = Rung(precision, placement, self._options.chunk_size)
            if self._may_fit(rung, record):
                yield rung
            if self._is_refused(precision, record):
                return
            if (precision, placement) not in self._not_to_be_had:
                last = placement
        if last is not None:
            lowest = self._lowest(precision, last, record)
            if lowest.chunk_size != self._options.chunk_size and self._may_fit(lowest, record):
                yield lowest

    def _lowest(self, precision: str | None, placement: str, record: Record) -> Rung:
        """In the lowest blocks that the run may take."""
        is_free = self._options.chunk_size is None and record.num_tokens > LOW_BLOCK
        return Rung(precision, placement, LOW_BLOCK if is_free else self._options.chunk_size)

    def _may_fit(self, rung: Rung, record: Record) -> bool:
        known = (rung.precision, rung.placement) in self._not_to_be_had
        return not known and record.num_tokens < self._too_high.get(rung, math.inf)

    def _refuse(self, precision: str | None, record: Record) -> None:
        self._refused[precision] = min(record.num_tokens, self._refused.get(precision, record.num_tokens))

    def _is_refused(self, precision: str | None, record: Record) -> bool:
        return record.num_tokens >= self._refused.get(precision, math.inf)

    def _ways(self, precision: str | None, record: Record) -> Iterator[str]:
        """The placements in which a record is tried in this precision."""
        if precision not in self._starts:
            try:
                self._enter(precision, record.num_tokens)
            except BudgetError as error:
                self._refuse(precision, record)
                self._give_way(error, f"{record.id}: no room is planned ({precision})")
                return
            except LowmemFoldError as error:
                self._starts[precision] = None
                self._give_way(error, f"there is no {precision}")
        start = self._starts[precision]
        if start is not None:
            self._not_to_be_had.discard((precision, start))  # it could be had once
            yield start
            yield from self._below(precision)

    def _below(self, precision: str | None) -> list[str]:
        """The placements below that in which records begin; those that the model can have, as soon as it was loaded."""
        if precision not in self._placements and self._folder is not None and self._precision == precision:
            self._placements[precision] = self._folder.placements
        have = list(self._placements.get(precision, PLACEMENTS))
        below = have[have.index(str(self._starts[precision])) + 1 :]
        return [placement for placement in below if (precision, placement) not in self._not_to_be_had]

    def _can_be_had(self, rung: Rung) -> bool:
        try:
            self._at(rung)
        except Exception as error:
            if not (is_out_of_memory(error) or isinstance(error, LowmemFoldError)):
                raise
            self._not_to_be_had.add((rung.precision, rung.placement))
            self._give_way(error, f"the weights cannot be loaded ({rung})")
        else:
            return True
        release_memory()
        return False

    def _at(self, rung: Rung) -> Folder:
        """The model as the rung has it. One that cannot be placed anew stays as it was."""
        if self._folder is None or self._precision != rung.precision:
            if self._folder is not None:
                self._folder = None
                release_memory()
            # With a budget the placement is planned, and stays the planner's to change.
            placement = rung.placement if self._options.memory is None else self._options.placement
            self._folder = self._loaded(rung.precision, placement, self._lengths[rung.precision])
            self._precision = rung.precision
        if self._folder.placement != rung.placement:
            self._folder.place(rung.placement)
        return self._folder

    def _enter(self, precision: str | None, length: int) -> None:
        """Load the model in this precision, in the placement asked for, or else in the next that it fits in."""
        if self._folder is not None:
            self._folder = None
            release_memory()
        asked = self._options.placement
        for placement in (asked, *PLACEMENTS[PLACEMENTS.index(asked or PLACEMENTS[0]) + 1 :]):
            try:
                self._folder = self._loaded(precision, placement, length)
            except Exception as error:
                refused = placement != asked and isinstance(error, LowmemFoldError)
                if not (refused or is_out_of_memory(error)):
                    raise
                self._give_way(error, f"the weights do not fit ({placement or 'the fastest placement'})")
            else:
                self._precision, self._lengths[precision] = precision, length
                self._starts[precision] = self._folder.placement
                return
            release_memory()
        where = f"the memory of --device {self._options.device}"
        raise ModelError(f"{self._options.model}: its weights do not fit into {where} ({self._last[1]}).")

    def _loaded(self, precision: str | None, placement: str | None, length: int) -> Folder:
        lower = {} if precision is None else {"precision": precision}
        keywords = {**self._options.load_keywords, **lower, "placement": placement, "length": length}
        return self._load(self._options.model, **keywords)

    def _give_way(self, error: BaseException, what: str) -> None:
        """Note an error. A model whose weights are lost is given up: the next attempt loads another."""
        if isinstance(error, WeightsLostError):
            self._folder = None
        _log.warning("%s\n%s", what, traceback.format_exc().rstrip())
        self._last = type(error).__name__, first_line(error)
