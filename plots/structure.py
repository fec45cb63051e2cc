"""A structure by its pLDDT, and int8 superimposed on fp32, from the `structures` records and the files beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lowmem_fold.bench.records import read_measurements
from lowmem_fold.predictions.prediction import Prediction
from lowmem_fold.system.style import Theme
from lowmem_fold.view.bands import LEGEND
from lowmem_fold.view.comparison import compare
from lowmem_fold.view.known import read_prediction
from lowmem_fold.view.overlay import distance_legend, draw_ribbons
from lowmem_fold.view.static import draw_bands, draw_legend

from .style import write as write_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PICTURE", "RESULTS", "Structure", "draw", "structures", "write"]

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results" / "structures.jsonl"
PICTURE = Path(__file__).parent / "structure.png"


class Structure(NamedTuple):
    """A file of the folder beside RESULTS; the digest is SHA-256 of what it holds."""

    chain: str
    file: str
    digest: str

    @property
    def path(self) -> Path:
        return RESULTS.with_suffix("") / self.file


def structures() -> dict[str, Structure]:
    """By precision."""
    found = {}
    for m in read_measurements(RESULTS):
        each = Structure(m.requested["structure"], m.resolved["file"], "")
        digest = hashlib.sha256(each.path.read_bytes()).hexdigest()
        found[m.requested["precision"]] = each._replace(digest=digest)
    return found


def draw(found: Mapping[str, Structure], figure: Figure, theme: Theme) -> None:
    """That in fp32 on the left, that in int8 superimposed on it on the right."""
    figure.set_size_inches(7.6, 4.4)
    left, right = figure.subfigures(1, 2)
    fp32, int8 = (_prediction(found[precision]) for precision in ("fp32", "int8"))
    left.suptitle(f"PDB {fp32.id} by the demo model", x=0.02, ha="left")
    draw_bands(fp32, left.subplots(), theme)
    draw_legend(left, theme, "pLDDT", LEGEND, columns=2)
    comparison = compare(int8, fp32, names=("int8", "fp32"))
    right.suptitle(f"int8 superimposed on fp32: CA-RMSD {comparison.ca_rmsd_angstrom:.2f} Å", x=0.02, ha="left")
    draw_ribbons(comparison, right.subplots(), theme)
    draw_legend(right, theme, "distance of CA atoms", distance_legend(comparison), columns=3)


def _prediction(structure: Structure) -> Prediction:
    return replace(read_prediction(structure.path), id=structure.chain)


def write() -> None:
    """Draw the committed structures."""
    write_picture(PICTURE, draw, structures())
