"""What is noted of a record that was not folded: why, and what memory it would need."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import LowmemFoldError
from ..memory.exhaustion import is_out_of_memory, others_text
from .options import RunOptions
from .rung import NoRoomError

if TYPE_CHECKING:
    from ..sequences.records import Record

__all__ = ["failure_notes", "smallest_budget_text"]

_log = logging.getLogger(__name__)
_ANYTHING = 2**60


def failure_notes(batch: Sequence[Record], error: Exception, options: RunOptions, device: str) -> dict[str, Any]:
    """Return the reason and the type of the error, and the attempts where every rung was too high."""
    if not isinstance(error, NoRoomError):
        return {"reason": _reason(error), "error_type": type(error).__name__}
    tried = f"{error.attempts} attempts, the last: {error.rung}"
    budget = smallest_budget_text(batch[0], options)
    reason = f"out of memory ({tried}){budget}{others_text(device)}: {error}"
    return {"reason": reason, "error_type": error.error_type, "attempts": error.attempts}


def _reason(error: Exception) -> str:
    first = (str(error).strip() or "no message").split("\n")[0]
    if is_out_of_memory(error):
        return f"out of memory: {first}"
    return first if isinstance(error, LowmemFoldError) else f"{type(error).__name__}: {first}"


def smallest_budget_text(record: Record, options: RunOptions) -> str:
    """Return the smallest budget that would do for a record in the precisions that the run may take, as the planner has
    it: the end of a sentence, empty where it cannot tell."""
    try:
        return _text(record, options)
    except Exception:  # no run is lost for want of advice
        _log.exception("the smallest budget of %s is not known", record.id)
        return ""


def _text(record: Record, options: RunOptions) -> str:
    from ..planning.plan import Planner

    planner = Planner(
        _ANYTHING, options.model, options.precision, options.device, None, options.host_memory, options.num_recycles
    )
    plans = planner.plans(record.num_tokens, presets=bool(options.allow_precision)).plans
    wanted = {planner.precision, *options.allow_precision}
    found = [plan for plan in plans if plan.possible and plan.precision in wanted]
    if not found:
        return ""
    least = min(found, key=lambda plan: plan.needed_bytes)
    return f"; --memory {math.ceil(least.needed_bytes / 10**6)}MB would do ({least.placement}, {least.precision})"
