"""How slow this machine is now, to scale limits of time by: `python -m lowmem_fold.bench.probe` is what is timed."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence

__all__ = ["PROBE_SECONDS", "slowness"]

PROBE_SECONDS = 6.0
"""What the probe takes, rounded up, where the limits of presets were set: two idle cores of an AMD EPYC, files in the
page cache. Tried by hand; no record holds it. Too high a figure only shortens the limits of slow machines."""
MOST = 30.0
"""Beyond it waiting for all of a sweep serves nobody."""
_CHAIN = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDGTQDNLSGAEKAVQVKVKALPDAQFEVVHSLAKWKR"
_PROBE = (sys.executable, "-m", "lowmem_fold.bench.probe")


def slowness(probe: Sequence[str] = _PROBE) -> float:
    """How many times longer than where the limits were set this machine takes to start, load and fold: 1 to MOST.

    One process does that, with the demo model on the CPU. It is stopped when the answer is MOST anyway.
    """
    start = time.monotonic()
    try:
        subprocess.run(probe, capture_output=True, timeout=MOST * PROBE_SECONDS)
    except subprocess.TimeoutExpired:
        return MOST
    return min(max((time.monotonic() - start) / PROBE_SECONDS, 1.0), MOST)


def main() -> None:
    from ..loading import load

    load("demo", device="cpu").fold(_CHAIN, num_recycles=1)


if __name__ == "__main__":
    main()
