"""Run the notebooks from top to bottom and store what comes out: `python -m notebooks.execute`.

The quick start runs with the demo model, as its first lines say. The sources of the cells stay as they are, but for the
repository that `notebooks.repository` names.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from copy import deepcopy
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient

from .repository import name_repository

__all__ = ["NOTEBOOKS", "clean", "executed", "main", "read"]

FOLDER = Path(__file__).parent
NOTEBOOKS = ("quickstart", "quantization")

_SECONDS = 1800  # of a cell, on a busy machine
_FORGET = "%reset -f"
_DROPPED = "application/3dmoljs_load.v0"  # the same again, for an extension of JupyterLab that nobody needs any more


def read(name: str) -> Any:
    """Read a notebook of this folder."""
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def executed(folder: Path, python: str = sys.executable, source: str | None = None) -> dict[str, Any]:
    """Run every notebook in this folder, an empty one, and return them with their outputs.

    One kernel runs them all, since starting it and importing torch takes as long as the cells; between two of them it
    forgets all names.

    Parameters
    ----------
    folder : Path
    python : str
        The interpreter of the kernel.
    source : str, optional
        What the notebooks install the package from. By default they find this checkout, and install nothing.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        A cell has failed.
    """
    notebooks = {name: read(name) for name in NOTEBOOKS}
    joined = nbformat.v4.new_notebook()
    for notebook in notebooks.values():
        joined.cells += [*deepcopy(notebook.cells), nbformat.v4.new_code_cell(_FORGET)]
    place = {"metadata": {"path": folder}}
    client = NotebookClient(joined, timeout=_SECONDS, resources=place, coalesce_streams=True)
    client.km = _kernel(folder / ".kernels", python)  # not given to the constructor: the client ends what it owns
    client.execute(env=_environment(folder, source))
    cells = iter(joined.cells)
    for notebook in notebooks.values():
        notebook.cells = [next(cells) for _ in notebook.cells]
        next(cells)
        clean(notebook)
    return notebooks


def _kernel(folder: Path, python: str) -> AsyncKernelManager:
    """Describe a kernel of this interpreter in the folder, whatever kernels the user has, and return its manager."""
    (folder / "python3").mkdir(parents=True)
    command = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": command, "display_name": "Python 3", "language": "python"}
    (folder / "python3" / "kernel.json").write_text(json.dumps(spec))
    specs = KernelSpecManager(kernel_dirs=[str(folder)], ensure_native_kernel=False)
    return AsyncKernelManager(kernel_name="python3", kernel_spec_manager=specs)


def _environment(folder: Path, source: str | None) -> dict[str, str]:
    checkout = "" if source else os.pathsep.join(filter(None, [str(FOLDER.parent), os.environ.get("PYTHONPATH")]))
    return {
        **os.environ,
        "LOWMEM_FOLD_NOTEBOOK_MODEL": "demo",
        "LOWMEM_FOLD_NOTEBOOK_OTHER_PRECISION": "int8",
        "LOWMEM_FOLD_NOTEBOOK_STORE": "1",
        "LOWMEM_FOLD_NOTEBOOK_SOURCE": source or "",
        "IPYTHONDIR": str(folder / ".ipython"),  # no settings of the user's
        "PYTHONPATH": checkout,
        "HF_HUB_OFFLINE": "1",
        "PYTHONWARNINGS": "ignore:IProgress not found",  # tqdm's, without ipywidgets: it writes text instead
    }


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
    output.pop("transient", None)
    return output


def main() -> None:
    """Run all, then write all."""
    with tempfile.TemporaryDirectory() as folder:
        for name, notebook in executed(Path(folder)).items():
            name_repository(notebook, name)
            path = FOLDER / f"{name}.ipynb"
            temporary = path.with_suffix(".tmp")
            nbformat.write(notebook, temporary)
            os.replace(temporary, path)
            print(path.name)


if __name__ == "__main__":
    main()
