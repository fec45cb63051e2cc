"""Run the notebooks from top to bottom and store what comes out: `python -m notebooks.execute`.

The quick start runs with the demo model, as its first lines say. The sources of the cells stay as they are.
"""

from __future__ import annotations

import os
import tempfile
from copy import deepcopy
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

__all__ = ["NOTEBOOKS", "clean", "executed", "main", "read"]

FOLDER = Path(__file__).parent
NOTEBOOKS = ("quickstart", "quantization")

_SECONDS = 600  # of a cell
_FORGET = "%reset -f"
_DROPPED = "application/3dmoljs_load.v0"  # the same again, for an extension of JupyterLab that nobody needs any more


def read(name: str) -> Any:
    """A notebook of this folder."""
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def executed(folder: Path) -> dict[str, Any]:
    """Every notebook with the outputs of a run in this folder, an empty one.

    One kernel runs them all, since starting it and importing torch takes as long as the cells; between two of them it
    forgets all names.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        A cell has failed.
    """
    notebooks = {name: read(name) for name in NOTEBOOKS}
    joined = nbformat.v4.new_notebook()
    for notebook in notebooks.values():
        joined.cells += [*deepcopy(notebook.cells), nbformat.v4.new_code_cell(_FORGET)]
    paths = os.pathsep.join(filter(None, [str(FOLDER.parent), os.environ.get("PYTHONPATH")]))
    env = {
        **os.environ,
        "LOWMEM_FOLD_NOTEBOOK_MODEL": "demo",
        "LOWMEM_FOLD_NOTEBOOK_OTHER_PRECISION": "fp16",
        "IPYTHONDIR": str(folder / ".ipython"),  # no settings of the user's
        "PYTHONPATH": paths,
        "HF_HUB_OFFLINE": "1",
        "PYTHONWARNINGS": "ignore:IProgress not found",  # tqdm's, without ipywidgets: it writes text instead
    }
    place = {"metadata": {"path": folder}}
    client = NotebookClient(joined, timeout=_SECONDS, kernel_name="python3", resources=place, coalesce_streams=True)
    client.execute(env=env)
    cells = iter(joined.cells)
    for notebook in notebooks.values():
        notebook.cells = [next(cells) for _ in notebook.cells]
        next(cells)
        clean(notebook)
    return notebooks


def clean(notebook: Any) -> None:
    """Leave of a run what a reader sees: no times and no settings of one machine; cells are numbered from 1."""
    count = 0
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            count += 1
            cell.execution_count = count
            cell.outputs = [_clean_output(output, count) for output in cell.outputs]


def _clean_output(output: Any, count: int) -> Any:
    if "execution_count" in output:
        output.execution_count = count
    if "data" in output:
        output.metadata = {}
        output.data.pop(_DROPPED, None)
    return output


def main() -> None:
    """Run all, then write all."""
    with tempfile.TemporaryDirectory() as folder:
        for name, notebook in executed(Path(folder)).items():
            path = FOLDER / f"{name}.ipynb"
            temporary = path.with_suffix(".tmp")
            nbformat.write(notebook, temporary)
            os.replace(temporary, path)
            print(path.name)


if __name__ == "__main__":
    main()
