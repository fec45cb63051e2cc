"""The notebooks run from top to bottom with the demo model, and what they have stored is what comes out."""

from __future__ import annotations

import importlib.util
import json
import re
import statistics
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest

import lowmem_fold
from lowmem_fold.predictions.structures import read_pdb

for each in ("nbformat", "nbclient"):
    pytest.importorskip(each)
execute = pytest.importorskip("notebooks.execute")
FOLDER, NOTEBOOKS, executed, read = execute.FOLDER, execute.NOTEBOOKS, execute.executed, execute.read
RESULTS = FOLDER.parent / "benchmarks" / "results"
NOTEBOOK = pytest.mark.parametrize("name", NOTEBOOKS)
AGAIN = "run `python -m notebooks.execute` and commit what it writes"


@pytest.mark.more
def test_they_run_and_what_is_stored_is_what_comes_out(tmp_path):
    """One test, since one run serves all that is looked at, and tests may run in several processes."""
    run = executed(tmp_path)  # an error of a cell fails here
    for name in NOTEBOOKS:
        assert errors(run[name]) == []
        assert kinds(read(name)) == kinds(run[name]), AGAIN
    assert "DEMO MODEL: what follows shows how things work" in texts(run["quickstart"])
    assert tables(read("quantization")) == tables(run["quantization"]), AGAIN
    check_drift(tables(run["quantization"]))
    check_cards(tables(run["quantization"]))
    check_archive(texts(run["quickstart"]), tmp_path)


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
    (table,) = (each for each in found if "| int8 |" in each and "TM-score to fp32" in each)
    rows = {cells[1]: cells[2:5] for cells in ([c.strip() for c in line.split("|")] for line in table.split("\n")[2:])}
    lines = (RESULTS / "precision.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    drift = {r["requested"]["precision"]: r["samples"] for r in records if r["benchmark"] == "precision-drift"}
    assert set(rows) == set(drift)
    for precision, samples in drift.items():
        quantities = (samples["ca_rmsd_angstrom"], max), (samples["tm_score"], min), (samples["lddt_ca"], min)
        assert rows[precision] == [f"{statistics.median(each):.3f} ({worst(each):.3f})" for each, worst in quantities]


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
    """The structure in the archive is the one that was told of."""
    (mean,) = re.findall(r"folded in .* mean pLDDT ([\d.]+)", said)
    with zipfile.ZipFile(folder / "my_protein.zip") as archive:
        names = set(archive.namelist())
        archive.extract("my_protein.pdb", folder)
        scores = json.loads(archive.read("my_protein.scores.json"))
    assert {f"my_protein.{end}" for end in ("cif", "pae.json", "structure.png", "plddt.png", "pae.png")} <= names
    assert f"{scores['mean_plddt']:.1f}" == mean
    assert read_pdb(folder / "my_protein.pdb").sequence == scores["sequence"]
    assert (folder / "models" / "demo-int8" / "config.json").is_file()
    assert "loaded in" in said and "int8 on" in said


@NOTEBOOK
def test_the_demo_is_marked(name):
    first = read(name).cells[0]
    assert first.cell_type == "markdown" and "small demo model" in first.source.replace("**", "")


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


@NOTEBOOK
def test_the_badge_opens_this_notebook(name):
    (address,) = re.findall(r"\]\((https://colab\.research\.google\.com/github/[^)]*)\)", read(name).cells[0].source)
    assert address.endswith(f"/blob/main/notebooks/{name}.ipynb")


def test_the_story_quotes_no_number():
    """What was measured stands in the cells' outputs alone, since records change."""
    prose = "\n".join(cell.source for cell in read("quantization").cells if cell.cell_type == "markdown")
    assert re.findall(r"\d+[.,]\d+|\d+ ?(?:GB|GiB|%|Å|seconds)", prose) == ["95 %"]


def source(name: str, marker: str) -> str:
    """The cell that has this in it."""
    (found,) = (cell.source for cell in read(name).cells if cell.cell_type == "code" and marker in cell.source)
    return found


def test_the_records_are_cloned_once(tmp_path, monkeypatch):
    """Without a checkout, as on Colab; the cell may be run again."""
    clones = []

    def run(command, check):
        (target,) = (Path(word) for word in command if word == str(tmp_path / "lowmem_fold"))
        (target / "benchmarks" / "results").mkdir(parents=True)
        clones.append(target)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(lowmem_fold, "__file__", str(tmp_path / "site" / "lowmem_fold" / "__init__.py"))
    monkeypatch.setattr("sys.path", list(sys.path))
    for _ in range(2):
        names = {}
        exec(compile(source("quantization", "git"), "install", "exec"), names)
        assert names["checkout"] == tmp_path / "lowmem_fold"
    assert len(clones) == 1


def test_a_model_that_cannot_be_stored_ends_the_run(tmp_path, monkeypatch, capsys):
    """With what was said, and not three cells later."""
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho quantizing >&2\necho 'error: no room on the disk' >&2\nexit 2\n")
    program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    names = {"IN_COLAB": False, "Path": Path, "subprocess": subprocess, "model": "x/y", "precision": "int8"}
    names["sys"] = SimpleNamespace(executable=str(program))
    with pytest.raises(RuntimeError, match="the model was not stored: error: no room on the disk"):
        exec(compile(source("quickstart", "keep_in_drive"), "store", "exec"), names)
    assert "quantizing" in capsys.readouterr().out


def test_folding_again_after_a_comparison(capsys):
    """The cell that compares lets the model go; from the one that folds on, all can be run again."""
    prediction = SimpleNamespace(mean_plddt=1.0, ptm=0.5, iptm=None, problems=list)
    loads = []

    def load(*arguments, **options):
        loads.append(options.get("precision"))
        facts = {"precision": "int8", "device": "cpu", "placement": "resident"}
        return SimpleNamespace(fold=lambda record, num_recycles: prediction, **facts)

    names = {"lf": SimpleNamespace(load=load, compare=lambda *_, names: " on ".join(names)), "stored": "models/x"}
    names |= {"record": SimpleNamespace(num_tokens=9), "num_recycles": 3}
    names |= {"model": "x/y", "precision": "int8", "other_precision": "fp16"}
    cells = [source("quickstart", marker) for marker in ("def load_stored", "folder.fold", "lf.compare")]
    for cell in [*cells, *cells[1:]]:
        exec(compile(cell, "cell", "exec"), names)
    assert loads == [None, "fp16", None, "fp16"]
    names["other_precision"] = "none"
    exec(compile(cells[-1], "cell", "exec"), names)
    assert names["comparison"] is None and "choose an other_precision" in capsys.readouterr().out


def test_the_form_downloads_nothing_twice():
    """What the published model is compared with is for the user to ask for."""
    assert 'other_precision = "none"  # @param' in source("quickstart", "parse_sequence")


@NOTEBOOK
def test_installing_keeps_torch(name, tmp_path, monkeypatch):
    """On a machine without the package: the installed torch is a constraint, in the version that is there."""
    cell = next(cell.source for cell in read(name).cells if cell.cell_type == "code")
    calls = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(subprocess, "run", lambda command, check: calls.append(command))
    monkeypatch.syspath_prepend(str(FOLDER.parent))
    exec(compile(cell, name, "exec"), {})
    install = next(call for call in calls if "install" in call)
    assert Path(install[install.index("-c") + 1]).read_text().splitlines()[0] == f"torch=={version('torch')}"
    assert "--upgrade" not in install and not any("torch" in word for word in install)
