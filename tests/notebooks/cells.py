"""Cells of the notebooks, found by what is in them, and run without a notebook."""

from __future__ import annotations

from pathlib import Path

import nbformat

__all__ = ["FOLDER", "read", "run_cell", "source"]

FOLDER = Path(__file__).parents[2] / "notebooks"


def read(name: str):
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def source(name: str, marker: str) -> str:
    """The one cell of code that has this in it."""
    (found,) = (cell.source for cell in read(name).cells if cell.cell_type == "code" and marker in cell.source)
    return found


def run_cell(text: str, names: dict) -> dict:
    """Run a cell with these names, and return them with what it has added."""
    exec(compile(text, "cell", "exec"), names)
    return names
