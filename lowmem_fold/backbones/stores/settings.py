"""What a file of embeddings was made with, and what of it forbids adding to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import InputError
from ...system.settings import differing_settings

__all__ = ["refuse_mixture"]

_OPTIONS = {
    "fingerprint": "--model",
    "lowmem_fold": "version of lowmem-fold",
    "max_length": "--max-length",
}
_NOT_JUDGED = ("about",)


def refuse_mixture(place: object, stored: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """InputError if embeddings of these settings would not be of one kind with those that are there: names each
    difference. What is absent from `settings` is not judged, nor is what stands under `about`."""
    judged = {key: value for key, value in settings.items() if key not in _NOT_JUDGED}
    differing = differing_settings(stored, judged)
    if differing:
        table = "".join(_row(key, stored, settings) for key in differing)
        raise InputError(
            f"{place}: the embeddings there are of another kind:{table}\n"
            "Kinds are not mixed in one file. Give another file with -o, or add --overwrite to replace it."
        )


def _row(key: str, stored: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    return f"\n  {_OPTIONS.get(key, f'--{key}')}: {_shown(key, stored)} there, {_shown(key, settings)} now"


def _shown(key: str, settings: Mapping[str, Any]) -> str:
    value = settings.get(key)
    if key == "fingerprint":
        return f"{settings.get('model')} (fingerprint {value})"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return (",".join(map(str, value)) if isinstance(value, list) else str(value or "")) or "none"
