"""Amounts of memory as people write them."""

from __future__ import annotations

import re
from fractions import Fraction
from numbers import Integral
from reprlib import repr as short_repr

from ..errors import InputError

__all__ = ["format_memory", "parse_memory"]

UNITS = {
    "B": 1,
    # Less is safer than more: `8G` is taken as the smaller of the two that it may mean.
    "K": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
    "KI": 2**10,
    "MI": 2**20,
    "GI": 2**30,
    "TI": 2**40,
}
# Of so many digits an amount is beyond any memory, and Python refuses to read thousands of them as a number.
_DIGITS = 30
_AMOUNT = re.compile(rf"(\d{{1,{_DIGITS}}}(?:\.\d{{0,{_DIGITS}}})?|\.\d{{1,{_DIGITS}}})\s*([A-Za-z]*)", re.ASCII)
MOST = 2**63
#: A number alone below this is not meant as bytes: no budget is that small, and `8` is 8 GB to who writes it.
LEAST_BARE = 2**20


def parse_memory(amount: str | int, name: str = "memory") -> int:
    """Bytes of an amount of memory.

    Parameters
    ----------
    amount : str or int
        `8GB` is 8 x 10^9 bytes, `8GiB` 2^33; KB, MB, TB, KiB, MiB and TiB likewise, in any case, a space before it or
        not. The B may be left out: `8g` is 8 x 10^9 bytes. A number alone is bytes, from `LEAST_BARE` (a MiB) on. Parts
        of a byte are dropped.
    name : str
        What errors call it.

    Raises
    ------
    InputError
        It is something else, not above zero, or a smaller number alone: says what to write.
    """
    if isinstance(amount, Integral) and not isinstance(amount, bool):
        size, unit = int(amount), ""
    else:
        found = _AMOUNT.fullmatch(amount.strip()) if isinstance(amount, str) else None
        unit = found[2].upper() if found else ""
        if found is None or (unit or "B") not in UNITS:
            raise InputError(
                f"{name} {short_repr(amount)} is not a memory size: write 8GB (8 x 10^9 bytes), 8GiB (2^33) or 500MB"
            )
        size = int(Fraction(found[1]) * UNITS[unit or "B"])
    if abs(size) >= MOST:
        raise InputError(f"{name} of 2^63 bytes or more is not a memory size: write an amount such as 8GB")
    if size <= 0:
        raise InputError(f"{name} {short_repr(amount)} is nothing: write an amount such as 8GB")
    if not unit and size < LEAST_BARE:
        raise InputError(f"{name} {amount!r} has no unit, and would be bytes: write {size}GB or {size}MB")
    return size


def format_memory(size: int) -> str:
    """Bytes for a reader: `7.45 GiB`, or `12.3 MiB` where that is less than a tenth of a GiB."""
    return f"{size / 2**30:.2f} GiB" if abs(size) >= 2**30 / 10 else f"{size / 2**20:.1f} MiB"
