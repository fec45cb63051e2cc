"""Amounts of memory as people write them."""

from __future__ import annotations

import re
from fractions import Fraction

from ..errors import InputError

__all__ = ["format_memory", "parse_memory"]

UNITS = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
}
_AMOUNT = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([A-Za-z]*)", re.ASCII)


def parse_memory(amount: str | int) -> int:
    """Bytes of an amount of memory.

    Parameters
    ----------
    amount : str or int
        `8GB` is 8 x 10^9 bytes, `8GiB` 2^33; KB, MB, TB, KiB, MiB and TiB likewise, in any case, a space before it or
        not. A number alone is bytes. Parts of a byte are dropped.

    Raises
    ------
    InputError
        It is something else, or not above zero: says what to write.
    """
    if isinstance(amount, int) and not isinstance(amount, bool):
        size = amount
    else:
        found = _AMOUNT.fullmatch(str(amount).strip())
        unit = found[2].upper() if found else ""
        if not isinstance(amount, str) or found is None or (unit or "B") not in UNITS:
            raise InputError(f"memory {amount!r} is no amount: write 8GB (8 x 10^9 bytes), 8GiB (2^33) or 500MB")
        size = int(Fraction(found[1]) * UNITS[unit or "B"])
    if size <= 0:
        raise InputError(f"memory {amount!r} is nothing: write an amount such as 8GB")
    return size


def format_memory(size: int) -> str:
    """Bytes for a reader: `7.45 GiB`, or `12.3 MiB` where that is less than a tenth of a GiB."""
    return f"{size / 2**30:.2f} GiB" if abs(size) >= 2**30 / 10 else f"{size / 2**20:.1f} MiB"
