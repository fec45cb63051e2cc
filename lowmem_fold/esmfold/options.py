"""What a fold of an ESMFold can be asked for, checked."""

from __future__ import annotations

from ..system.numbers import check_above_zero, check_whole

__all__ = ["check_options"]


def check_options(
    num_recycles: object = 3, chunk_size: object = None, recycle_tolerance: object = None, **_: object
) -> None:
    """Refuse a number that is out of range: InputError with the option, as the command line has it, and the value."""
    check_whole("--num-recycles", num_recycles, 0)
    if chunk_size is not None:
        check_whole("--chunk-size", chunk_size, 1)
    if recycle_tolerance is not None:
        check_above_zero("--recycle-tolerance", recycle_tolerance, "Angstrom")
