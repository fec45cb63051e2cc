"""Settings that decide the numbers of a result: which of them differ, and a short name of all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

__all__ = ["differing_settings", "settings_id"]


def differing_settings(stored: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    """Names of the settings that decide the numbers and are not the same; one absent from ``settings`` is not judged.

    The name of a model does not count, only its fingerprint: the same weights may lie in two places.
    """
    return [key for key, value in settings.items() if key != "model" and stored.get(key) != value]


def settings_id(settings: Mapping[str, Any]) -> str:
    """A short name of the settings, kept with each result: results with one name may stand in one folder."""
    text = json.dumps({key: value for key, value in settings.items() if key != "model"}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
