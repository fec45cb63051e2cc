"""Which implementation of attention a family runs with."""

from __future__ import annotations

from ..checkpoints.container import container_of
from ..errors import InputError
from .families import Family

__all__ = ["ATTENTION", "chosen_attention"]

#: What can be asked for: torch's fused kernels, products written out, or the first of these that the family has.
ATTENTION = ("auto", "sdpa", "eager")


def chosen_attention(asked: str, family: Family) -> str:
    """`sdpa` or `eager`.

    Raises
    ------
    InputError
        It is none of `ATTENTION`, or the installed transformers has it not for this family.
    ModelError
        The installed transformers does not know the family.
    """
    import transformers

    there = ("sdpa", "eager") if container_of(family.architecture)._supports_sdpa else ("eager",)
    if asked not in ATTENTION:
        raise InputError(f"unknown attention {asked!r}; choose from: {', '.join(ATTENTION)}")
    if asked not in ("auto", *there):
        raise InputError(
            f"attention {asked}: {family.name} has {' and '.join(there)} in transformers {transformers.__version__}"
        )
    return there[0] if asked == "auto" else asked
