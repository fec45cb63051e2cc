"""What is read of a structure file: the authors' names and numbers, and whether its B-factors are pLDDT."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import lowmem_fold as lf
from lowmem_fold.errors import InputError
from lowmem_fold.view.axis import places
from lowmem_fold.view.known import has_plddt, read_prediction, residue_labels
from tests.view.structures import TS50, known, predicted


def renumbered(numbers: list[str], chain: str = "H") -> str:
    """3a4rA with the number and insertion code of each residue in columns 23 to 27."""
    lines = []
    for line in predicted(known("3a4rA"), plddt=np.full(79, 20.0, np.float32)).to_pdb().splitlines():
        if line.startswith("ATOM"):
            number = numbers[int(line[22:26]) - 1]
            digits = number.rstrip("ABC")
            line = f"{line[:21]}{chain}{digits:>4}{number[len(digits) :] or ' '}{line[27:]}"
        lines.append(line)
    return "\n".join(lines) + "\n"


#: A gap of eight after 50, and a tail far off.
NUMBERS = [str(n) for n in (*range(-1, 51), *range(59, 81), *range(1001, 1006))]


@pytest.fixture
def numbered(tmp_path):
    (tmp_path / "x.pdb").write_text(renumbered(NUMBERS))
    return read_prediction(tmp_path / "x.pdb")


def test_names_and_numbers_are_the_authors(numbered):
    assert numbered.chain_ids == ("H",) and list(residue_labels(numbered)) == NUMBERS
    assert list(numbered.residue_number) == list(map(int, NUMBERS))
    assert "ATOM      1  N   GLY H  -1" in numbered.to_pdb()
    again = dataclasses.replace(numbered, id="y")
    assert again.chain_ids == ("H",)


def test_missing_residues_leave_room(numbered):
    found = places(numbered)
    assert found[0] == 1 and list(np.flatnonzero(np.diff(found) > 1)) == [51, 73]
    assert found[52] - found[51] == 9  # 51 to 58 are missing
    assert found[74] - found[73] == 21  # and not 921: the axis would be empty
    assert list(places(predicted(known("3a4rA"), 30))) == list(range(1, 80))


def test_plot_has_gaps_and_the_authors_numbers(numbered):
    figure = lf.compare(predicted(known("3a4rA")), numbered).plot()
    distance = figure.axes[0]
    values = distance.lines[0].get_ydata()
    assert len(values) == places(numbered)[-1] and np.isnan(values).sum() == 8 + 20
    ticks = zip(figure.axes[-1].get_xticks(), figure.axes[-1].get_xticklabels(), strict=True)
    named = {text.get_text(): place for place, text in ticks}
    assert named["20"] == 22 and named["60"] == 62 and "1001" not in named


def test_a_lone_residue_is_a_dot(tmp_path):
    """A line has no length there."""
    (tmp_path / "x.pdb").write_text(renumbered([*map(str, range(1, 40)), "50", *map(str, range(60, 99))]))
    lone = lf.compare(predicted(known("3a4rA")), read_prediction(tmp_path / "x.pdb")).plot().axes[0].lines[1]
    assert list(lone.get_xdata()) == [50] and lone.get_marker() == "o"


def test_insertion_codes(tmp_path):
    """They are in the labels; what tells residues apart counts from 1 then."""
    numbers = ["52", "52A", "52B", *map(str, range(53, 129))]
    (tmp_path / "x.pdb").write_text(renumbered(numbers))
    structure = read_prediction(tmp_path / "x.pdb")
    assert list(residue_labels(structure)) == numbers
    assert list(structure.residue_number) == list(range(1, 80))


def test_chain_without_a_name(tmp_path):
    (tmp_path / "x.pdb").write_text(renumbered(NUMBERS, " "))
    assert read_prediction(tmp_path / "x.pdb").chain_ids == ("A",)


def test_names_that_pdb_has_no_column_for(numbered):
    long = dataclasses.replace(numbered, names=("HEAVY",))
    with pytest.raises(InputError, match="PDB has no columns"):
        long.to_pdb()
    assert "HEAVY" in long.to_cif()


@pytest.mark.parametrize("form", ["pdb", "cif"])
def test_files_of_predictions_have_plddt(tmp_path, form):
    predicted(known("3a4rA")).save(tmp_path, format=form)
    assert has_plddt(read_prediction(tmp_path / f"3a4rA.{form}"))


def test_files_of_experiments_have_none(tmp_path):
    """A B-factor for each atom, or the same for all; or one for each residue, of what calls itself an experiment."""
    assert not has_plddt(read_prediction(TS50 / "3a4rA.pdb.gz"))  # 100 everywhere
    text = predicted(known("3a4rA")).to_pdb()
    lines = [f"{line[:60]}{10 + n % 50:6.2f}{line[66:]}" for n, line in enumerate(text.splitlines()) if "ATOM" in line]
    (tmp_path / "atoms.pdb").write_text("\n".join(lines) + "\n")
    assert not has_plddt(read_prediction(tmp_path / "atoms.pdb"))
    (tmp_path / "grouped.pdb").write_text("EXPDTA    ELECTRON MICROSCOPY\n" + text)
    (tmp_path / "model.pdb").write_text("EXPDTA    THEORETICAL MODEL\n" + text)
    assert not has_plddt(read_prediction(tmp_path / "grouped.pdb"))
    assert has_plddt(read_prediction(tmp_path / "model.pdb"))
