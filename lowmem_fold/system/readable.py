"""Text from outside, such as names of files, as it can be shown."""

from __future__ import annotations

import re

__all__ = ["readable"]

_SURROGATES = re.compile("[\ud800-\udfff]")


def readable(text: str) -> str:
    """Replace what no encoding can write by U+FFFD: lone surrogates, as which a file's name holds bytes not UTF-8."""
    return _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", text)
