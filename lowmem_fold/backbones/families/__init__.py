"""The families of language models, one file each; a checkpoint's is chosen from its config.json.

Each file here with a function `of` is one: it returns the `Family` of a checkpoint that is its own, None of any other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType

from ...errors import ModelError, first_line
from .family import AMINO_ACIDS, MASK, Family

__all__ = ["AMINO_ACIDS", "MASK", "Family", "family_of", "masked_families"]


def family_of(folder: Path) -> Family:
    """The family of a checkpoint.

    Raises
    ------
    ModelError
        It is of none: says what config.json has, and which families there are. Or its vocabulary cannot be read.
    """
    path = folder / "config.json"
    config = json.loads(path.read_text())
    names = []
    for module in _modules():
        try:
            found = module.of(config, folder)
        except (KeyError, TypeError) as error:
            raise ModelError(
                f"{folder} is not a {module.NAME}, though it looks like one ({first_line(error)})"
            ) from error
        if found is not None:
            return found
        names.append(module.NAME)
    raise ModelError(
        f"{path}: model_type {config.get('model_type')!r} with {config.get('vocab_size')} tokens is not a language"
        f" model of proteins that is known here ({', '.join(names)})"
    )


def masked_families() -> list[str]:
    """Names of the families with a masked-language-model head."""
    return [module.NAME for module in _modules() if module.ARCHITECTURE.head is not None]


def _modules() -> Iterator[ModuleType]:
    for info in iter_modules(__path__):
        module = import_module(f".{info.name}", __name__)
        if hasattr(module, "of"):
            yield module
