"""Numbers that a user gives, checked."""

from __future__ import annotations

import math

from ..errors import InputError

__all__ = ["check_above_zero", "check_whole"]


def check_whole(name: str, value: object, least: int) -> None:
    """Refuse what is not a whole number of at least so much: InputError with the name and the value."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"{name} must be a whole number, {least} or more; it is {value!r}.")


def check_above_zero(name: str, value: object, unit: str) -> None:
    """Refuse what is not a finite number above 0: InputError with the name, the unit and the value."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise InputError(f"{name} must be a number above 0 ({unit}); it is {value!r}.")
