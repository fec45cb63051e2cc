"""Versions of what is installed, read from package metadata: nothing is imported for it."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

__all__ = ["environment_versions", "installed_version", "package_version"]

_SHAPING_RESULTS = ("torch", "transformers", "safetensors", "numpy", "biotite")


def installed_version(distribution: str) -> str | None:
    """Version of an installed distribution (``pip``'s name), or None."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def package_version() -> str:
    """Version of lowmem_fold."""
    from . import __version__

    return __version__


def environment_versions() -> dict[str, str | None]:
    """Versions of Python, lowmem_fold and what it computes with, by name; None where not installed."""
    versions = {"python": platform.python_version(), "lowmem_fold": package_version()}
    return versions | {name: installed_version(name) for name in _SHAPING_RESULTS}
