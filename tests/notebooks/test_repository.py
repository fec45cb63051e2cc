"""One setting names the repository: the badge and the address to install from follow it."""

from __future__ import annotations

import re
from copy import deepcopy

import pytest

pytest.importorskip("nbformat")
execute = pytest.importorskip("notebooks.execute")
repository = pytest.importorskip("notebooks.repository")
FOLDER, NOTEBOOKS, read = execute.FOLDER, execute.NOTEBOOKS, execute.read
NOTEBOOK = pytest.mark.parametrize("name", NOTEBOOKS)
SOURCE = re.compile(r'^SOURCE = "(.*)"  # @param', re.MULTILINE)


def install(notebook) -> str:
    return next(cell.source for cell in notebook.cells if cell.cell_type == "code")


@NOTEBOOK
def test_the_stored_notebook_follows_the_setting(name):
    stored = read(name)
    named = deepcopy(stored)
    repository.name_repository(named, name)
    assert named == stored, "run `python -m notebooks.execute` and commit what it writes"
    badges = re.findall(r"colab\.research\.google\.com/github/([^)]*)/blob", stored.cells[0].source)
    assert badges == [repository.REPOSITORY] * bool(repository.REPOSITORY)


@NOTEBOOK
def test_the_badge_opens_this_notebook(name):
    notebook = read(name)
    repository.name_repository(notebook, name, "owner/fork")
    (address,) = re.findall(r"\]\((https://colab\.research\.google\.com/github/[^)]*)\)", notebook.cells[0].source)
    path = address.removeprefix("https://colab.research.google.com/github/owner/fork/blob/main/")
    assert (FOLDER.parent / path).samefile(FOLDER / f"{name}.ipynb")
    assert SOURCE.findall(install(notebook)) == ["https://github.com/owner/fork"]
    assert notebook.cells[0].source.startswith("# ")  # the title stays above the badge


@NOTEBOOK
def test_a_repository_is_replaced_and_removed(name):
    bare = read(name)
    repository.name_repository(bare, name, "")
    assert "badge" not in bare.cells[0].source and SOURCE.findall(install(bare)) == [""]
    notebook = deepcopy(bare)
    for each in ("owner/fork", "other/fork", "other/fork"):
        repository.name_repository(notebook, name, each)
    assert notebook.cells[0].source.count("badge.svg") == 1 and "owner/fork" not in notebook.cells[0].source
    repository.name_repository(notebook, name, "")
    assert notebook == bare


def test_a_notebook_without_the_field_is_refused():
    notebook = read("quickstart")
    next(cell for cell in notebook.cells if cell.cell_type == "code").source = "pass"
    with pytest.raises(ValueError, match=r"quickstart: .* 0 fields SOURCE"):
        repository.name_repository(notebook, "quickstart", "owner/fork")
