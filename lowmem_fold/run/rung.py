"""One way to fold, a rung of the ladder that a run steps down, and what is raised where every rung was too high."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["NoRoomError", "Rung"]


@dataclass(frozen=True)
class Rung:
    """One way to fold.

    Attributes
    ----------
    precision : str or None
        None: that which the run asks for.
    placement : str
    chunk_size : int or None
        Rows of a block; None: from the engine's byte budget.
    """

    precision: str | None
    placement: str
    chunk_size: int | None

    @property
    def notes(self) -> dict[str, Any]:
        """What a record's line says of it; the precision only if it is a lower one."""
        lower = {} if self.precision is None else {"precision": self.precision}
        return {"placement": self.placement, "chunk_size": self.chunk_size, **lower}

    def __str__(self) -> str:
        blocks = "" if self.chunk_size is None else f", blocks of {self.chunk_size} rows"
        return f"{self.placement}{blocks}{'' if self.precision is None else f', {self.precision}'}"


class NoRoomError(MemoryError):
    """Every rung was too high for a record.

    Attributes
    ----------
    attempts : int
    rung : Rung
        The last.
    error_type : str
        Of the last error.
    """

    def __init__(self, attempts: int, rung: Rung, error_type: str, text: str) -> None:
        super().__init__(text)
        self.attempts, self.rung, self.error_type = attempts, rung, error_type
