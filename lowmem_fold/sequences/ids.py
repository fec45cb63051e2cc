"""Ids of records: they become names of files, and of data blocks of mmCIF files."""

from __future__ import annotations

import re

from ..errors import InputError

__all__ = ["MAX_ID", "check_id", "clean_id"]

#: Letters of an id: with the longest ending, and the name while it is written, below the 255 that file systems allow.
MAX_ID = 100

_UNSAFE = re.compile(r"[^A-Za-z0-9._+=-]")
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)  # file names that Windows refuses


def clean_id(text: str) -> str:
    """Make an id of the first word of a text: a safe name of a file on every system, ``_`` if there is no word."""
    word = _UNSAFE.sub("_", (text.split() or ["_"])[0])[:MAX_ID]
    if word.startswith("."):
        word = "_" + word[1:]
    return f"_{word}"[:MAX_ID] if _RESERVED.fullmatch(word) else word


def check_id(id: object) -> str:
    """Give an id back that is safe as the name of a file as it is.

    Raises
    ------
    InputError
        If it is not: says which would be.
    """
    if not isinstance(id, str):
        raise InputError(f"an id is text that becomes the name of files; this is {id!r}.")
    safe = clean_id(id)
    if safe != id:
        shown = id if len(id) <= MAX_ID else id[:MAX_ID] + "..."
        raise InputError(
            f"id {shown!r} cannot be the name of a file: use 1 to {MAX_ID} of the characters A-Z a-z 0-9 . _ + = -, "
            f"the first of them not a '.', and no device of Windows such as nul; {safe!r} would do."
        )
    return id
