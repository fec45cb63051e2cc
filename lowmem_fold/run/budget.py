"""What a record that fits nowhere would need."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from .options import RunOptions

if TYPE_CHECKING:
    from ..sequences.records import Record

__all__ = ["smallest_budget_text"]

_log = logging.getLogger(__name__)
_ANYTHING = 2**60


def smallest_budget_text(record: Record, options: RunOptions) -> str:
    """The smallest budget that would do for a record in the precisions that the run may take, as the planner has it:
    the end of a sentence, empty where it cannot tell."""
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
