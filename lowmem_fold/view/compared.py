"""Two sets of structures, each of the first superimposed on that of the same name in the second."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError, LowmemFoldError
from ..run.table import FAILED
from .comparison import Comparison, compare
from .run import MISSING, Run, RunRecord, read_run

__all__ = ["Pair", "Side", "compared", "read_side"]

_ENDINGS = tuple(ending + packed for ending in (".pdb", ".ent", ".cif") for packed in ("", ".gz"))
_MAX_LISTED = 3
_WANTED = "Give a run (the -o of lowmem-fold fold), a folder of PDB or mmCIF files, or one such file."


@dataclass(frozen=True, eq=False)
class Side:
    """Structures to compare, by name.

    Attributes
    ----------
    path : Path
        A run, a folder of structures, or one structure.
    files : dict
        The structure file of each name.
    run : Run or None
        Where the path is one.
    """

    path: Path
    files: dict[str, Path]
    run: Run | None = None

    def record(self, name: str) -> RunRecord | None:
        """What the run says of a structure, None if there is no run."""
        return next((record for record in self.run.records if record.id == name), None) if self.run else None


@dataclass(frozen=True, eq=False)
class Pair:
    """A structure of either side: names, and the comparison or why there is none."""

    names: tuple[str, str]
    comparison: Comparison | None
    reason: str | None = None


def read_side(path: str | Path) -> Side:
    """What a path has to compare: a run's structures, the PDB and mmCIF files of a folder, or one such file.

    Raises
    ------
    InputError
        There is nothing of the kind.
    """
    path = Path(path)
    if path.is_file():
        return Side(path, {_name(path): path})
    if not path.exists():
        raise InputError(f"{path}: no such file or folder. {_WANTED}")
    try:
        run = read_run(path)
    except InputError:
        files = {_name(file): file for file in sorted(path.glob("*")) if file.name.lower().endswith(_ENDINGS)}
        if not files:
            raise InputError(f"{path}: no structures to compare. {_WANTED}") from None
        return Side(path, files)
    records = [record for record in run.records if record.status not in (FAILED, MISSING)]
    files = {record.id: record.structure_path for record in records if record.structure_path}
    if not files:
        raise InputError(f"{path}: none of the {len(run.records)} records of this run has a structure to compare.")
    return Side(path, files, run)


def compared(a: Side, b: Side) -> Iterator[Pair]:
    """Each structure of ``a`` on its partner in ``b``: that of the same name, upper and lower case alike, or the only
    ones. Those without a partner are left out.

    Raises
    ------
    InputError
        No name is in both.
    """
    for ours, theirs in _pairs(a, b):
        try:
            yield Pair((ours, theirs), compare(a.files[ours], b.files[theirs]))
        except LowmemFoldError as error:
            yield Pair((ours, theirs), None, str(error))


def _pairs(a: Side, b: Side) -> list[tuple[str, str]]:
    if len(a.files) == len(b.files) == 1:
        return [(next(iter(a.files)), next(iter(b.files)))]
    theirs = {name.lower(): name for name in b.files}
    pairs = [(name, theirs[name.lower()]) for name in a.files if name.lower() in theirs]
    if not pairs:
        raise InputError(f"no structure has the same name in {a.path} ({_listed(a)}) and {b.path} ({_listed(b)}).")
    return pairs


def _listed(side: Side) -> str:
    more = len(side.files) - _MAX_LISTED
    return ", ".join(list(side.files)[:_MAX_LISTED]) + (f" and {more} more" if more > 0 else "")


def _name(path: Path) -> str:
    ending = next((ending for ending in _ENDINGS[::-1] if path.name.lower().endswith(ending)), "")
    return path.name[: len(path.name) - len(ending)]
