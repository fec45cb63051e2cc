"""What an embedding is made of: everything that decides its numbers, but for the model. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from .layers import LayerChoice, parse_layers
from .pooling import parse_pool

__all__ = ["LONG", "Recipe", "make_recipe"]

#: What becomes of a sequence that is longer than the model takes.
LONG = ("refuse", "truncate", "windows")


@dataclass(frozen=True)
class Recipe:
    """Made and checked by `make_recipe`, which tells what each is.

    Attributes
    ----------
    layers : LayerChoice
    pool : tuple of str
        Empty: nothing is pooled.
    residues : bool
        Whether the states of the residues are results.
    long : str
        Of `LONG`.
    max_length : int, optional
        Residues, if that is less than the model takes.
    overlap : int, optional
        Of windows, in residues; None: a quarter of them.
    """

    layers: LayerChoice
    pool: tuple[str, ...]
    residues: bool
    long: str
    max_length: int | None
    overlap: int | None

    def settings(self) -> dict[str, Any]:
        """What a file of embeddings says of it, but for the layers, whose numbers the model decides. JSON-able."""
        return {
            "pool": list(self.pool),
            "residues": self.residues,
            "long": self.long,
            "max_length": self.max_length,
            "overlap": self.overlap,
        }


def make_recipe(
    layers: str | int | Sequence[int | str] | Mapping[int | str, float] = "last",
    pool: str | Sequence[str] | None = None,
    residues: bool | None = None,
    long: str = "refuse",
    max_length: int | None = None,
    overlap: int | None = None,
) -> Recipe:
    """Check what is asked for.

    Parameters
    ----------
    layers : str, int, sequence or mapping
        See `parse_layers`.
    pool : str or sequence of str, optional
        Of `mean`, `max`, `cls` and `std`; several are concatenated in this order. None: nothing is pooled.
    residues : bool, optional
        Whether to keep a vector for each residue; by default where nothing is pooled.
    long : str
        Sequences of more residues than the model takes: `refuse` them; `truncate` them, leaving out their end; or run
        them in `windows` that overlap (`cls` is then the mean of the windows' tokens).
    max_length : int, optional
        Residues that count as long, if that is less than the model takes.
    overlap : int, optional
        Residues that neighbouring windows share, less than a window holds; by default a quarter of it.

    Raises
    ------
    InputError
        Names what is wrong.
    """
    if long not in LONG:
        raise InputError(f"unknown value {long!r} for long sequences; choose from: {', '.join(LONG)}")
    if max_length is not None and max_length < 1:
        raise InputError(f"max_length must be a whole number, 1 or more; it is {max_length}")
    if overlap is not None and long != "windows":
        raise InputError(f"an overlap is of windows, and long sequences are to be {long!r}")
    if overlap is not None and overlap < 0:
        raise InputError(f"overlap must be a whole number, 0 or more; it is {overlap}")
    if overlap is not None and max_length is not None and overlap >= max_length:
        raise InputError(f"windows of {max_length} residues cannot share {overlap}")
    names = parse_pool(pool)
    if residues is False and not names:
        raise InputError("neither residues nor a pooling is asked for: there would be no result")
    wanted = not names if residues is None else residues
    return Recipe(parse_layers(layers), names, wanted, long, max_length, overlap)
