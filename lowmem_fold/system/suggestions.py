"""Suggest the word that somebody meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["did_you_mean", "nearest"]


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """Return the choice that is nearest to a word, whatever the case of either; None if none is near."""
    by_name = {choice.lower(): choice for choice in choices}
    close = get_close_matches(word.lower(), by_name, 1)
    return by_name[close[0]] if close else None


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return a question that names the nearest choice, with a space before it; empty if none is near.

    >>> did_you_mean("demmo", ["demo", "facebook/esmfold_v1"])
    ' Did you mean demo?'
    """
    near = nearest(word, choices)
    return f" Did you mean {near}?" if near else ""
