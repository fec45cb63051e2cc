"""One configuration to be measured: which code folds what, how, and where. Nothing here needs torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..errors import InputError
from ..run.options import RunOptions

__all__ = ["OURS", "Configuration"]

OURS = "lowmem_fold"


@dataclass(frozen=True)
class Configuration:
    """What one process measures.

    Attributes
    ----------
    code : str
        `lowmem_fold`, or the name of a peer in `bench.peers.PEERS`.
    model : str
        Hub id, local folder, or `demo`.
    precision : str or None
        As of `load`, for our code. A peer is one precision in one placement: both are None.
    placement : str or None
        As of `load`, for our code.
    device : str
        `cpu`, `cuda`, `cuda:N`, `mps`, or `auto`.
    length : int
        Residues of the one chain that is folded: `bench.chains` has a sequence for each length.
    num_recycles : int
        Passes after the first.
    chunk_size : int or None
        Rows of the pair state that our code works on at once; None: from its byte budget.
    repeats : int
        Most folds whose time is taken, after one that warms up.
    memory : str or None
        Budget on the device, which a card's allocator is held to: `8GB`, `8GiB`.

    Raises
    ------
    InputError
        Names the option and its value.
    """

    code: str = OURS
    model: str = "demo"
    precision: str | None = "fp32"
    placement: str | None = "resident"
    device: str = "auto"
    length: int = 128
    num_recycles: int = 3
    chunk_size: int | None = None
    repeats: int = 5
    memory: str | None = None

    def __post_init__(self) -> None:
        RunOptions(  # checks them
            model=self.model,
            precision=self.precision,
            placement=self.placement,
            device=self.device,
            num_recycles=self.num_recycles,
            chunk_size=self.chunk_size,
            memory=self.memory,
        )
        for name in ("length", "repeats"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(f"{name} must be a whole number, 1 or more; it is {value!r}")
        if self.code != OURS and (self.precision, self.placement, self.chunk_size) != (None, None, None):
            raise InputError(f"{self.code} takes no precision, placement or chunk size: it is one of each")

    @property
    def is_reference(self) -> bool:
        """Whether its outputs are what those of other configurations are compared with: ours in fp32, all resident."""
        return (self.code, self.precision, self.placement, self.chunk_size) == (OURS, "fp32", "resident", None)

    @property
    def label(self) -> str:
        """For a line of progress."""
        how = [word for word in (self.precision, self.placement) if word]
        return " ".join([self.code, *how, f"{self.length} residues"])

    def requested(self) -> dict[str, Any]:
        """JSON-able: what was asked for."""
        return asdict(self)

    def recorded(self, model: str) -> dict[str, Any]:
        """The same with the model's name (`Checkpoint.short_name`), without the folders of one machine."""
        return {**self.requested(), "model": model}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Configuration:
        """Of what `requested` gave; InputError if it is something else."""
        names = {each.name for each in fields(cls)}
        if values.keys() != names:
            raise InputError(f"a configuration has {', '.join(sorted(names))}; this one {', '.join(sorted(values))}")
        return cls(**values)

    def to_json(self) -> str:
        """On one line, as `python -m lowmem_fold.bench.measure` reads it."""
        return json.dumps(self.requested())
