"""What a fold of an ESMFold can be asked for, checked."""

from __future__ import annotations

import math

from ..errors import InputError

__all__ = ["check_options", "check_whole"]


def check_options(
    num_recycles: object = 3, chunk_size: object = None, recycle_tolerance: object = None, **_: object
) -> None:
    """InputError for a number that is out of range: names the option, as the command line has it, and the value."""
    check_whole("num_recycles", num_recycles, 0)
    if chunk_size is not None:
        check_whole("chunk_size", chunk_size, 1)
    value = recycle_tolerance
    if value is not None and (
        isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf
    ):
        raise InputError(f"--recycle-tolerance must be a number above 0 (Angstrom); it is {value!r}.")


def _check_tolerance(value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise InputError(f"--recycle-tolerance must be a number above 0 (Angstrom); it is {value!r}.")


def check_whole(name: str, value: object, least: int) -> None:
    """InputError for what is not a whole number from `least` on."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"--{name.replace('_', '-')} must be a whole number, {least} or more; it is {value!r}.")
