"""A picture of each structure of a run, beside it: `python -m lowmem_fold.view.pictures FOLDER`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from ..bench.style import LIGHT, rendered
from ..errors import LowmemFoldError
from ..formats import write_bytes_atomic
from .known import read_prediction
from .run import number, read_run
from .static import draw_structure

__all__ = ["main", "write_pictures"]


def write_pictures(folder: str | Path) -> Iterator[Path]:
    """Write `<id>.png` for each structure of a folder that `lowmem-fold fold` has filled; gives each once it is there.

    Raises
    ------
    InputError
        There is no run in the folder, a structure cannot be read, or matplotlib is not installed.
    """
    for record in read_run(folder).records:
        if record.structure_path is not None:
            prediction = read_prediction(record.structure_path)
            ptm = number(record.line.get("ptm"))
            prediction = replace(prediction, id=record.id, ptm=float("nan") if ptm is None else float(ptm))
            picture = rendered(partial(draw_structure, prediction), LIGHT, "png")
            yield write_bytes_atomic(record.structure_path.with_name(f"{record.id}.png"), picture)


def main() -> int:
    """Tell each picture; returns the exit code."""
    parser = argparse.ArgumentParser("python -m lowmem_fold.view.pictures", description=__doc__)
    parser.add_argument("folder", metavar="FOLDER", help="output folder of lowmem-fold fold")
    try:
        for path in write_pictures(parser.parse_args().folder):
            print(path)
    except LowmemFoldError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
