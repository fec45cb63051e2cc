"""A picture of each structure of a run, beside it: `python -m lowmem_fold.view.pictures FOLDER`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from ..bench.style import LIGHT, rendered
from ..errors import InputError
from ..formats import write_bytes_atomic
from .known import read_prediction
from .run import number, read_run
from .static import draw_structure

__all__ = ["write_pictures"]


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


if __name__ == "__main__":
    try:
        for path in write_pictures(*sys.argv[1:2] or [""]):
            print(path)
    except InputError as error:
        sys.exit(f"error: {error}")
