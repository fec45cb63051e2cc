"""What the viewer is told: the structure, a colour for each residue, the legend."""

from __future__ import annotations

import json
import re
import sys

import numpy as np
import pytest

from lowmem_fold.errors import InputError
from lowmem_fold.view.bands import BANDS, DISTANCE_BANDS, LEGEND, band_colors
from lowmem_fold.view.comparison import compare
from lowmem_fold.view.viewer import residue_ranges
from tests.view.structures import known, predicted

py3Dmol = pytest.importorskip("py3Dmol")


def calls(viewer, name) -> list[list]:
    """The arguments of each call in the page that the viewer writes."""
    found = re.findall(rf"viewer_\d+\.{name}\((.*)\);\n", viewer.write_html())
    return [json.loads(f"[{arguments}]") for arguments in found]


def residues(chosen) -> list[int]:
    ends = [[int(end) for end in each.split("-")] for each in chosen["resi"]]
    return [number for each in ends for number in range(each[0], each[-1] + 1)]


def test_each_residue_has_the_colour_of_its_band():
    prediction = predicted(known("3a4rA"), 30)
    colored = {
        (chosen["chain"], number): style["cartoon"]["color"]
        for chosen, style in calls(prediction.view(), "setStyle")
        for number in residues(chosen)
    }
    names = [prediction.chain_ids[chain] for chain in prediction.chain_index]
    expected = dict(zip(zip(names, prediction.residue_number, strict=True), band_colors(prediction.plddt), strict=True))
    assert colored == expected and len(set(expected.values())) == len(BANDS)


def test_structure_and_legend():
    prediction = predicted(known("3a4rA"), 30)
    viewer = prediction.view()
    assert calls(viewer, "addModel") == [[prediction.to_pdb(), "pdb"]]
    labels = {text: style["backgroundColor"] for text, style in calls(viewer, "addLabel")}
    assert labels == LEGEND
    assert "zoomTo" in viewer.write_html()


def test_what_pdb_cannot_hold_is_mmcif():
    """More than 62 chains."""
    structure = known("3a4rA")
    prediction = predicted(structure, *range(1, 70))
    ((text, form),) = calls(prediction.view(), "addModel")
    assert form == "cif" and text == prediction.to_cif()


def test_comparison_shows_both():
    structure = known("3a4rA")
    moved = structure.positions.copy()
    moved[60:] += 9
    comparison = compare(predicted(structure, positions=moved), structure, names=("ours", "known"))
    viewer = comparison.view()
    (known_text, _), (moved_text, _) = calls(viewer, "addModel")
    assert comparison.moved.to_pdb() == moved_text != known_text == comparison.reference.to_pdb()
    distance = {
        number: style["cartoon"]["color"]
        for chosen, style in calls(viewer, "setStyle")
        if chosen["model"] == 1
        for number in residues(chosen)
    }
    floors = np.array([band.floor for band in DISTANCE_BANDS])
    expected = [DISTANCE_BANDS[(floors <= d).sum() - 1].color for d in comparison.distance]
    assert [distance[number] for number in range(1, 80)] == expected and len(set(expected)) > 1
    labels = [text for text, _ in calls(viewer, "addLabel")]
    assert labels == [*(band.label for band in DISTANCE_BANDS), "known"]


@pytest.mark.parametrize(
    ("numbers", "ranges"),
    [([1], ["1"]), ([1, 2, 3, 7], ["1-3", "7"]), ([4, 6, 7], ["4", "6-7"])],
    ids=["one", "first", "last"],
)
def test_ranges(numbers, ranges):
    assert residue_ranges(np.array(numbers)) == ranges


def test_a_notebook_shows_it_as_a_result():
    """In one output, whose text holds no address of memory."""
    viewer = predicted(known("3a4rA")).view()
    assert isinstance(viewer, py3Dmol.view) and repr(viewer) == "<structure viewer of py3Dmol>"
    assert "addModel" in viewer._repr_html_() and "UNIQUEID" not in viewer._repr_html_()
    assert viewer.spin(True) is viewer and "spin(true)" in viewer._repr_html_()


def test_without_py3dmol(monkeypatch):
    monkeypatch.setitem(sys.modules, "py3Dmol", None)
    with pytest.raises(InputError, match="pip install 'py3Dmol>="):
        predicted(known("3a4rA")).view()
