"""A picture of each structure of a run, beside it: `python -m lowmem_fold.view.pictures FOLDER`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ..errors import LowmemFoldError
from ..system.files import write_bytes_atomic
from ..system.style import LIGHT, rendered
from ..system.terminal import say
from .known import read_prediction
from .run import RunRecord, number, read_run
from .static import draw_structure

__all__ = ["Picture", "main", "write_pictures"]


class Picture(NamedTuple):
    """Of the structure of a record: where it is, or why there is none."""

    id: str
    path: Path | None
    reason: str | None = None


def write_pictures(folder: str | Path) -> Iterator[Picture]:
    """Write `<id>.png` for each structure of a folder that `lowmem-fold fold` has filled; gives each once it is done.

    A structure that cannot be read or drawn, or whose picture cannot be written, does not keep the others from it.

    Raises
    ------
    InputError
        There is no run in the folder, or matplotlib is not installed.
    """
    from .figures import drawn  # noqa: F401  # without matplotlib it says what to install

    for record in read_run(folder).records:
        if record.structure_path is not None:
            try:
                yield Picture(record.id, _written(record, record.structure_path))
            except LowmemFoldError as error:
                yield Picture(record.id, None, str(error))
            except OSError as error:
                yield Picture(record.id, None, f"cannot be written: {error}")


def _written(record: RunRecord, structure: Path) -> Path:
    ptm = number(record.line.get("ptm"))
    prediction = replace(read_prediction(structure), id=record.id, ptm=float("nan") if ptm is None else float(ptm))
    picture = rendered(partial(draw_structure, prediction), LIGHT, "png")
    return write_bytes_atomic(structure.with_name(f"{record.id}.png"), picture)


def main() -> int:
    """Tell each picture; returns the exit code: 1 if some could not be made, 2 if there is nothing to draw."""
    parser = argparse.ArgumentParser("python -m lowmem_fold.view.pictures", description=__doc__)
    parser.add_argument("folder", metavar="FOLDER", help="output folder of lowmem-fold fold")
    failed = False
    try:
        for id, path, reason in write_pictures(parser.parse_args().folder):
            if reason is None:
                say(str(path))
            else:
                say(f"error: no picture of {id}: {reason}", stream=sys.stderr)
                failed = True
    except (LowmemFoldError, OSError) as error:
        say(f"error: {error}", stream=sys.stderr)
        return 2
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
