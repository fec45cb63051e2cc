"""The allocator's own account of the bytes that a call had at once, workspaces inside kernels included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["allocator_peak_bytes"]


def allocator_peak_bytes(call: Callable[[], Any]) -> int:
    """Most bytes that torch's CPU allocator had given out at once during `call()`, above those before it."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        result = call()
    del result
    live = peak = 0
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    for event in sorted(events, key=lambda event: event.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    return peak
