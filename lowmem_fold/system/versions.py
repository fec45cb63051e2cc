"""Versions of what is installed, read from package metadata: nothing is imported for it."""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["code_digest", "environment_versions", "installed_version", "package_version"]

_SHAPING_RESULTS = ("torch", "transformers", "safetensors", "numpy", "biotite")


def installed_version(distribution: str) -> str | None:
    """Version of an installed distribution (``pip``'s name), or None."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def package_version() -> str:
    """Version of lowmem_fold; `0+unknown` of a checkout that was not installed."""
    return installed_version("lowmem-fold") or "0+unknown"


@cache
def code_digest() -> str:
    """SHA-256 of this package's code: what was worked out by another state of it may be another result."""
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def environment_versions() -> dict[str, str | None]:
    """Versions of Python, lowmem_fold and what it computes with, by name; None where not installed."""
    versions = {"python": platform.python_version(), "lowmem_fold": package_version()}
    return versions | {name: installed_version(name) for name in _SHAPING_RESULTS}
