"""On the path of a process, this hides the packages that a machine which is lent bare lacks, as if not installed."""

from __future__ import annotations

import importlib.abc
import importlib.metadata
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

HIDDEN = {
    "biotite": "biotite",
    "biotraj": "biotraj",
    "optimum": "optimum-quanto",
    "bitsandbytes": "bitsandbytes",
    "py3Dmol": "py3Dmol",
    "nbformat": "nbformat",
    "nbclient": "nbclient",
    "ipykernel": "ipykernel",
    "tmtools": "tmtools",
}
"""Distributions by what is imported of them."""


class _Hiding(importlib.abc.MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.partition(".")[0] in HIDDEN:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


def _version(name: str) -> str:
    if name.lower().replace("_", "-") in {each.lower() for each in HIDDEN.values()}:
        raise importlib.metadata.PackageNotFoundError(name)
    return _real_version(name)


_real_version = importlib.metadata.version
importlib.metadata.version = _version
sys.meta_path.insert(0, _Hiding())
