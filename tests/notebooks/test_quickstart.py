"""What the cells of the quick start do with what a user gives them."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

import lowmem_fold

pytest.importorskip("nbformat")
pytest.importorskip("IPython")
cells = pytest.importorskip("tests.notebooks.cells")
read, run_cell, source = cells.read, cells.run_cell, cells.source


class Model:
    """Stands in for `Folder`: keeps what it was asked to fold."""

    device, placement = "cpu", "resident"

    def __init__(self, precision):
        self.precision = precision
        self.folded = []

    def fold(self, record, num_recycles, progress):
        progress(0.5)
        self.folded.append(record.sequence)
        return SimpleNamespace(mean_plddt=1.0, ptm=0.5)


@pytest.fixture
def notebook(monkeypatch):
    """Names that the first cell has made, and a model whose loads are counted."""
    shown = []
    handle = SimpleNamespace(update=lambda bar: shown.append(bar.data))
    monkeypatch.setattr("IPython.display.display", lambda *each, **_: [shown.extend(each), handle][1])
    monkeypatch.delenv("LOWMEM_FOLD_NOTEBOOK_MODEL", raising=False)
    loads = []

    def load(name, precision, length):
        loads.append((name, precision))
        return Model(precision)

    fake = SimpleNamespace(load=load, InputError=lowmem_fold.InputError, compare=lambda *_, names: Compared(names))
    return {"lf": fake, "IN_COLAB": False, "loads": loads, "shown": shown, "os": os}


class Compared:
    def __init__(self, names):
        self.names = names

    def __repr__(self):
        return " on ".join(self.names)

    def plot(self):
        return "both"


def fold(**form) -> str:
    """The cell that folds, its form filled in."""
    text = source("quickstart", "folder.fold")
    for name, value in form.items():
        text, count = re.subn(rf"^{name} = .*?  # @param", f"{name} = {value!r}  # @param", text, flags=re.MULTILINE)
        assert count == 1, name
    return text


def test_every_cell_is_a_form():
    for cell in read("quickstart").cells:
        if cell.cell_type == "code":
            assert re.match(r'# @title [A-Z].* \{ display-mode: "form" \}\n', cell.source)


def test_two_cells_give_a_picture():
    install, second = [cell for cell in read("quickstart").cells if cell.cell_type == "code"][:2]
    assert "install()" in install.source and "folder.fold" in second.source
    assert any("3Dmol" in output.get("data", {}).get("text/html", "") for output in second.outputs)


def test_the_form_asks_for_little():
    """Half precision, nothing downloaded twice, nothing stored unless the user asks for it."""
    assert 'precision = "fp16"  # @param' in fold()
    assert 'other_precision = "none"  # @param' in source("quickstart", "lf.compare")
    assert "store_a_copy = False  # @param" in source("quickstart", "store_a_copy")


@pytest.mark.parametrize(
    "form, sequence",
    [
        ({"sequence": "MKTA"}, "MKTA"),
        ({"sequence": " MKTA: GSHM "}, "MKTA:GSHM"),
        ({"sequence": "MKTA/GSHM"}, "MKTA:GSHM"),
        ({"sequence": "MKTA:", "copies": 3}, "MKTA:MKTA:MKTA"),
        ({"sequence": "MKTA:GS", "copies": 2}, "MKTA:GS:MKTA:GS"),
    ],
    ids=["one", "two", "slash", "copies", "copies of a complex"],
)
def test_chains_and_copies(notebook, form, sequence):
    names = run_cell(fold(**form), notebook)
    assert names["folder"].folded == [sequence]
    assert any("50%" in str(each) for each in names["shown"])  # the bar that moves


@pytest.mark.parametrize(
    "form, said",
    [
        ({"sequence": ">sp|P1 MKTA"}, "begins with '>': paste the letters alone"),
        ({"copies": 0}, "copies must be 1 or more, got 0"),
        ({"sequence": "MK1A"}, "'1'"),
        ({"sequence": ""}, "no sequence"),
    ],
    ids=["FASTA", "no copies", "a digit", "empty"],
)
def test_mistakes_are_told_before_a_model_is_loaded(notebook, form, said):
    with pytest.raises(lowmem_fold.InputError, match=said):
        run_cell(fold(**form), notebook)
    assert notebook["loads"] == []


def test_a_model_is_loaded_once(notebook, tmp_path, capsys):
    """Anew for another precision, or where a comparison needed its memory; a stored copy keeps its own precision."""
    for text in (fold(), fold(sequence="MKTA"), fold(precision="int8")):
        run_cell(text, notebook)
    assert notebook["loads"] == [("facebook/esmfold_v1", "fp16"), ("facebook/esmfold_v1", "int8")]
    compare = source("quickstart", "lf.compare")
    run_cell(compare, notebook)
    assert "Nothing to compare with" in capsys.readouterr().out
    run_cell(compare.replace('"none"  # @param', '"fp32"  # @param'), notebook)
    assert notebook["loads"][2:] == [("facebook/esmfold_v1", "fp32")]
    assert "int8 on fp32" in map(str, notebook["shown"])
    run_cell(fold(model=str(tmp_path)), notebook)
    assert notebook["loads"][3:] == [(str(tmp_path), None)]


def test_a_copy_that_cannot_be_stored_ends_the_run(tmp_path, monkeypatch, capsys):
    """With what the program said last."""
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho quantizing >&2\necho 'error: no room on the disk' >&2\nexit 2\n")
    program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOWMEM_FOLD_NOTEBOOK_STORE", raising=False)
    names = {"IN_COLAB": False, "Path": Path, "subprocess": subprocess, "os": os, "model": "x/y", "Stop": RuntimeError}
    names["sys"] = SimpleNamespace(executable=str(program))
    text = source("quickstart", "keep_in_drive")
    run_cell(text, dict(names))
    assert "Nothing is stored" in capsys.readouterr().out
    with pytest.raises(RuntimeError, match="the model was not stored: no room on the disk"):
        run_cell(text.replace("store_a_copy = False", "store_a_copy = True"), names)
    assert "quantizing" in capsys.readouterr().out
