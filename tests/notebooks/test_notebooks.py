"""The notebooks run from top to bottom with the demo model, and what they have stored is what comes out."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import statistics
import subprocess
import sys
import sysconfig
import zipfile
from importlib.metadata import version
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

import lowmem_fold
from lowmem_fold.predictions.structures import read_pdb

for each in ("nbformat", "nbclient"):
    pytest.importorskip(each)
execute = pytest.importorskip("notebooks.execute")
cells = pytest.importorskip("tests.notebooks.cells")
FOLDER, NOTEBOOKS, executed, read = execute.FOLDER, execute.NOTEBOOKS, execute.executed, execute.read
RESULTS = FOLDER.parent / "benchmarks" / "results"
NOTEBOOK = pytest.mark.parametrize("name", NOTEBOOKS)
AGAIN = "run `python -m notebooks.execute` and commit what it writes"


@pytest.mark.more
def test_they_run_from_a_wheel_and_what_is_stored_is_what_comes_out(tmp_path, monkeypatch):
    """One test, since one run serves all that is looked at, and tests may run in several processes."""
    wheel, python = build_wheel(tmp_path / "dist"), environment(tmp_path / "environment")
    monkeypatch.setenv("PIP_NO_DEPS", "1")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "lowmem_fold_repository").symlink_to(FOLDER.parent)  # the clone that the records are read from
    run = executed(folder, python, str(wheel))  # an error of a cell fails here
    check_installed(python, folder, tmp_path / "environment")
    for name in NOTEBOOKS:
        assert errors(run[name]) == []
        assert kinds(read(name)) == kinds(run[name]), AGAIN
    assert "DEMO MODEL: what follows shows how things work" in texts(run["quickstart"])
    assert tables(read("quantization")) == tables(run["quantization"]), AGAIN
    check_drift(tables(run["quantization"]))
    check_cards(tables(run["quantization"]))
    check_archive(texts(run["quickstart"]), folder)


def build_wheel(folder: Path) -> Path:
    """The package as it stands here, built by the back end that the tests have installed: nothing is fetched."""
    pytest.importorskip("hatchling")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(FOLDER.parent)], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def environment(folder: Path) -> str:
    """The interpreter of an environment without the package, that sees all else that is installed for the tests.

    Their editable install of the package is not seen: it is a .pth file, and none is read where another one points.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    scheme = {"base": str(folder), "platbase": str(folder)}
    Path(sysconfig.get_path("purelib", "venv", scheme), "tests.pth").write_text(sysconfig.get_path("purelib"))
    return str(Path(sysconfig.get_path("scripts", "venv", scheme), "python"))


def check_installed(python: str, folder: Path, place: Path) -> None:
    """The run used the wheel that its first cell installed."""
    command = [python, "-c", "import lowmem_fold; print(lowmem_fold.__file__)"]
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    found = subprocess.run(command, cwd=folder, env=bare, stdout=subprocess.PIPE, text=True, check=True).stdout
    assert Path(found.strip()).is_relative_to(place)


def texts(notebook) -> str:
    return "".join(output.text for cell in notebook.cells for output in cell.get("outputs", []) if "text" in output)


def tables(notebook) -> list[str]:
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", []) if "data" in output)
    return [output.data["text/markdown"] for output in outputs if "text/markdown" in output.data]


def kinds(notebook) -> list[list]:
    """Of each cell: what its outputs are."""
    return [
        [(output.output_type, sorted(output.get("data", {}))) for output in cell.get("outputs", [])]
        for cell in notebook.cells
    ]


def errors(notebook) -> list[str]:
    """What was written to standard error."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", []))
    return [output.text for output in outputs if output.get("name") == "stderr"]


def check_drift(found: list[str]) -> None:
    """Medians and worst values, read again without the notebook's code."""
    records = [json.loads(line) for line in (RESULTS / "precision.jsonl").read_text().splitlines()]
    for marker, benchmark in {"| int8 |": "precision-drift", "layers in int8": "precision-layers"}.items():
        (table,) = (each for each in found if marker in each and "TM-score to fp32" in each)
        rows = {
            cells[1]: cells[2:5] for cells in ([c.strip() for c in line.split("|")] for line in table.split("\n")[2:])
        }
        drift = {r["requested"]["precision"]: r["samples"] for r in records if r["benchmark"] == benchmark}
        if benchmark == "precision-drift":
            assert set(rows) == set(drift)
        assert not any("*" in name for name in rows)  # Markdown eats it
        for samples, row in zip(drift.values(), rows.values(), strict=True):
            quantities = (samples["ca_rmsd_angstrom"], max), (samples["tm_score"], min), (samples["lddt_ca"], min)
            assert row == [f"{statistics.median(each):.3f} ({worst(each):.3f})" for each, worst in quantities]


def check_cards(found: list[str]) -> None:
    """Residues that fit, read again."""
    (table,) = (each for each in found if "| 8 GB |" in each)
    records = [json.loads(line) for line in (RESULTS / "planning.jsonl").read_text().splitlines()]
    for record in records:
        asked = record["requested"]
        if record["benchmark"] == "planning-cards" and asked["placement"] in ("resident", "chunk_size 64"):
            code = "lowmem_fold" if asked["placement"] == "resident" else "stock, chunk_size 64"
            cells = [f"{n:,}" if n else "-" for n in record["samples"]["residues"]]
            assert " | ".join([code, asked["precision"], *cells]) in table


def check_archive(said: str, folder: Path) -> None:
    """The structure in the archive is the one whose scores were printed; the copy of the model is there."""
    (mean,) = re.findall(r"folded in .* mean pLDDT ([\d.]+)", said)
    with zipfile.ZipFile(folder / "my_protein.zip") as archive:
        names = set(archive.namelist())
        archive.extract("my_protein.pdb", folder)
        scores = json.loads(archive.read("my_protein.scores.json"))
    assert {f"my_protein.{end}" for end in ("cif", "pae.json", "structure.png", "plddt.png", "pae.png")} <= names
    assert f"{scores['mean_plddt']:.1f}" == mean
    assert read_pdb(folder / "my_protein.pdb").sequence == scores["sequence"]
    assert (folder / "models" / "demo-int8" / "config.json").is_file()
    assert "fp16 on cpu" in said and "In the form Fold: model = models/demo-int8" in said


@NOTEBOOK
def test_the_demo_is_marked(name):
    first = read(name).cells[0]
    assert first.cell_type == "markdown" and "small demo model" in first.source.replace("**", "")
    assert "CPU" in first.source


@NOTEBOOK
def test_nothing_of_one_machine_is_stored(name):
    path = FOLDER / f"{name}.ipynb"
    stored = path.read_text()
    assert not re.search(r'"[^"]*(/(root|home|tmp|opt|work|usr|var)/|site-packages|0x[0-9a-f]{8})', stored)
    notebook = read(name)
    assert set(notebook.metadata) <= {"accelerator", "colab", "kernelspec", "language_info"}
    assert all(cell.metadata == {} for cell in notebook.cells)
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    assert path.stat().st_size < 1_500_000


def test_the_story_quotes_no_number():
    """What was measured stands in the cells' outputs alone, since records change."""
    prose = "\n".join(cell.source for cell in read("quantization").cells if cell.cell_type == "markdown")
    assert re.findall(r"\d+[.,]\d+|\d+ ?(?:GB|GiB|%|Å|seconds)", prose) == []


def test_the_records_are_cloned_once(tmp_path, monkeypatch):
    """Without a checkout, as on Colab; the cell may be run again."""
    clones = []

    def run(command, check):
        target = Path(command[-1])
        (target / "benchmarks" / "results").mkdir(parents=True)
        clones.append(command[-2])

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(lowmem_fold, "__file__", str(tmp_path / "site" / "lowmem_fold" / "__init__.py"))
    monkeypatch.setattr("sys.path", list(sys.path))
    monkeypatch.setattr(lowmem_fold.LowmemFoldError, "_render_traceback_", None, raising=False)  # put back afterwards
    monkeypatch.setenv("LOWMEM_FOLD_NOTEBOOK_SOURCE", "https://host/owner/name")
    for _ in range(2):
        names = cells.run_cell(cells.source("quantization", "git"), {})
        assert names["checkout"] == tmp_path / "lowmem_fold_repository"
    assert clones == ["https://host/owner/name"]
    names["SOURCE"] = "https://host/lowmem_fold-1-py3-none-any.whl"
    with pytest.raises(Exception, match="the records are in the repository"):
        names["clone"](tmp_path / "other")


@pytest.fixture(params=NOTEBOOKS)
def install(request, tmp_path, monkeypatch):
    """Run the cell that installs, on a machine without the package; returns what pip was asked for."""
    asked = []

    def run(command, **_):
        asked.append(command)
        return SimpleNamespace(returncode=0, stdout="")

    def given(source):
        monkeypatch.setenv("LOWMEM_FOLD_NOTEBOOK_SOURCE", source)
        cell = next(cell.source for cell in read(request.param).cells if cell.cell_type == "code")
        cells.run_cell(cell, {})
        (command,) = asked
        return command

    found = importlib.util.find_spec
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "lowmem_fold" else found(name))
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr("sys.path", [*sys.path, str(FOLDER.parent)])
    monkeypatch.setattr("IPython.display.display", lambda *_, **__: None)
    monkeypatch.setattr(lowmem_fold.LowmemFoldError, "_render_traceback_", None, raising=False)  # put back afterwards
    return given


def test_installing_keeps_torch(install):
    """The installed torch is a constraint, in the version that is there."""
    command = install("https://host/owner/name")
    assert Path(command[command.index("-c") + 1]).read_text().splitlines()[0] == f"torch=={version('torch')}"
    assert "--upgrade" not in command and not any("torch" in word for word in command)


@pytest.mark.parametrize(
    "source, asked",
    [
        ("https://host/owner/name", "git+https://host/owner/name"),
        ("git+ssh://host/name@v1", "git+ssh://host/name@v1"),
        ("https://host/lowmem_fold-1-py3-none-any.whl", "https://host/lowmem_fold-1-py3-none-any.whl"),
        ("given.whl", "file://{folder}/given.whl"),
        ("", "file://{folder}/lowmem_fold-2-py3-none-any.whl"),
    ],
    ids=["repository", "pip's address", "address of a wheel", "path", "a wheel that is there"],
)
def test_what_is_installed(install, tmp_path, source, asked):
    for name in ("given.whl", "lowmem_fold-1-py3-none-any.whl", "lowmem_fold-2-py3-none-any.whl"):
        (tmp_path / name).touch()
    assert install(source)[-1] == f"lowmem-fold[quanto,viz] @ {asked.format(folder=tmp_path)}"


def test_colab_asks_for_a_wheel(install, tmp_path, monkeypatch):
    def upload():
        (tmp_path / "lowmem_fold-3.whl").touch()
        return {"lowmem_fold-3.whl": b""}

    colab = ModuleType("google.colab")
    colab.files = SimpleNamespace(upload=upload)
    monkeypatch.setitem(sys.modules, "google", ModuleType("google"))
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    assert install("")[-1].endswith(f"@ file://{tmp_path}/lowmem_fold-3.whl")


@pytest.mark.parametrize(
    "source, said", [("", "SOURCE is empty: give"), ("lost.whl", "SOURCE: the file lost.whl does not exist")]
)
def test_nothing_to_install_from(install, source, said):
    """One line, in place of a traceback."""
    with pytest.raises(Exception, match=said) as caught:
        install(source)
    assert caught.value._render_traceback_() == [f"error: {caught.value}"]


def test_pip_that_fails_is_heard(install, monkeypatch, capsys):
    failed = SimpleNamespace(returncode=1, stdout="no matching distribution")
    monkeypatch.setattr(subprocess, "run", lambda command, **_: failed)
    with pytest.raises(Exception, match="pip could not install lowmem_fold from SOURCE"):
        install("https://host/owner/name")
    assert "no matching distribution" in capsys.readouterr().out


def test_both_notebooks_install_alike():
    def functions(name):
        return re.findall(r"^def .*?(?=^\S)", cells.source(name, "def requirement"), re.MULTILINE | re.DOTALL)[:3]

    assert functions("quickstart") == functions("quantization") and len(functions("quickstart")) == 3
