"""Many sequences through a model: batches of like lengths, as large as the memory holds, smaller where it does not."""

from __future__ import annotations

import logging
import math
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..errors import BudgetError, LowmemFoldError, WeightsLostError, first_line
from ..memory.exhaustion import check_device, is_out_of_memory, others_text, release_memory
from .room import Room

if TYPE_CHECKING:
    from .backbone import Backbone

__all__ = ["plan_batches", "reason", "run_batches"]

_log = logging.getLogger(__name__)
MOST_PADDING = 1 / 8
"""Of a batch's tokens. More is more work than another batch is, unless weights have to be brought for that."""


def run_batches(
    backbone: Backbone,
    lengths: Sequence[int],
    run: Callable[[list[int]], None],
    *,
    logits: bool = False,
    max_tokens: int | None = None,
    kept_bytes: Callable[[int], int] | None = None,
    failed: Callable[[int, Exception], None] | None = None,
) -> None:
    """Run all sequences, each by itself where that is how the model has to be run (`Backbone.runs_alone`). Where memory
    runs out a batch is halved; a single one that has no room steps the placement down, for good. None is left out.

    Parameters
    ----------
    backbone : Backbone
    lengths : sequence of int
        Tokens of each sequence.
    run : callable
        Runs one batch, given by indices into `lengths`, and delivers its results last: after an error it is called
        again with the same sequences.
    logits : bool
        Whether it calls `Backbone.logits`, and not `hidden_states`.
    max_tokens : int, optional
        Of a batch, padding included; a longer sequence is run alone. By default as many as are worthwhile and fit, as
        planned.
    kept_bytes : callable, optional
        What `run` takes on the device for so many tokens, besides what the model does.
    failed : callable, optional
        Called for a sequence that cannot be run, with its index and the error. By default that error is raised; an
        OSError always is: it is of the results, and would be there for every sequence.

    Raises
    ------
    BudgetError
        A single sequence has no room in any placement, and there is no `failed`.
    DeviceFailedError
        The CUDA device no longer answers.
    WeightsLostError
        The model was given up for another placement, and could not be loaded again.
    """
    room = Room(backbone, logits, max_tokens, kept_bytes)
    padding = MOST_PADDING if backbone.placement == "resident" else 1.0
    waiting = deque(plan_batches(lengths, room, padding))
    too_many = math.inf  # tokens for which memory ran out
    while waiting:
        batch = waiting.popleft()
        tokens = len(batch) * max(lengths[index] for index in batch)
        if len(batch) > 1 and tokens >= too_many:
            waiting.extendleft(_parts(batch, len(batch) // 2))
            continue
        error, trace = _attempt(run, batch, failed is not None)
        if error is None:
            continue
        release_memory()
        check_device(str(backbone.device))
        _log.debug("a batch of %d failed\n%s", len(batch), trace)
        short = is_out_of_memory(error)
        if len(batch) > 1:
            too_many = tokens if short else too_many
            waiting.extendleft(_parts(batch, len(batch) // 2 if short else 1))
        elif short and lower_placement(backbone):
            too_many = math.inf
            waiting.appendleft(batch)
        elif failed is None:
            raise _without_room(backbone, lengths[batch[0]], error) if short else error
        else:
            _log.info("a sequence failed\n%s", trace)
            failed(batch[0], error)


def _parts(batch: list[int], size: int) -> list[list[int]]:
    """Of so many sequences each, the last first."""
    return [batch[start : start + size] for start in range(0, len(batch), size)][::-1]


def _attempt(run: Callable[[list[int]], None], batch: list[int], any_error: bool) -> tuple[Exception | None, str]:
    """Run a batch; an error is returned without its traceback, whose frames hold tensors, and the text of that."""
    try:
        run(batch)
    except Exception as error:
        if isinstance(error, OSError) or not (any_error or is_out_of_memory(error)):
            raise
        trace = traceback.format_exc().rstrip()
        return error.with_traceback(None), trace
    return None, ""


def _without_room(backbone: Backbone, tokens: int, error: Exception) -> BudgetError:
    return BudgetError(
        f"a sequence of {tokens} tokens does not fit in memory by itself, with {backbone.placement} weights on "
        f"{backbone.device}: "
        f"{reason(error, str(backbone.device))}. Give a smaller precision, such as int8, or a shorter sequence"
    )


def reason(error: Exception, device: str) -> str:
    """Why a sequence failed, in a line."""
    if is_out_of_memory(error):
        return f"out of memory{others_text(device)}: {first_line(error)}"
    return str(error).split("\n")[0] if isinstance(error, LowmemFoldError) else first_line(error)


def lower_placement(backbone: Backbone) -> bool:
    """Step down to the next placement that can be had; False if there is none. WeightsLostError as `place`."""
    names = backbone.placements
    for name in names[names.index(backbone.placement) + 1 :]:
        before = backbone.placement
        try:
            backbone.place(name)
        except WeightsLostError:
            raise
        except Exception as error:
            if not (is_out_of_memory(error) or isinstance(error, LowmemFoldError)):
                raise
            _log.info("the weights cannot be %s\n%s", name, traceback.format_exc().rstrip())
        else:
            _log.warning("memory is short: weights are %s from here on, no longer %s", name, before)
            return True
        release_memory()
    return False


def plan_batches(
    lengths: Sequence[int], room: Callable[[int], int], most_padding: float = MOST_PADDING
) -> list[list[int]]:
    """Group sequences, the longest first: what does not fit is known at once, and each is padded by little.

    Parameters
    ----------
    lengths : sequence of int
        Tokens of each sequence.
    room : callable
        How many sequences of so many tokens a batch can hold.
    most_padding : float
        Of a batch's tokens, the part that may be padding.

    Returns
    -------
    list of list of int
        Indices into `lengths`, each once.
    """
    batches: list[list[int]] = []
    longest = most = tokens = 0
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        size = len(batches[-1]) + 1 if batches else 0
        padding = size * longest - tokens - lengths[index]
        if not batches or size > most or padding > most_padding * size * longest:
            batches.append([])
            longest, most, tokens = lengths[index], room(lengths[index]), 0
        batches[-1].append(index)
        tokens += lengths[index]
    return batches
