"""The page of a comparison: what lies on what, how far it is off, and which residues are missing."""

from __future__ import annotations

import numpy as np
import pytest

from lowmem_fold.predictions.structures import Structure
from lowmem_fold.view.bands import DISTANCE_BANDS
from tests.browser.pages import drawn, laid, part_of_hue, place_in_curve
from tests.view.runs import written
from tests.view.structures import known, predicted, turned

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def structure() -> Structure:
    return known("1ahsA")


def test_comparison(browser, tmp_path, structure):
    """One half lies on the other structure, the other half was moved by 6 Angstrom."""
    rng = np.random.default_rng(0)
    positions = structure.positions + rng.normal(0, 0.3, structure.positions.shape)
    positions[90:] += [0, 0, 6]
    ours = written(tmp_path / "ours", [predicted(structure, positions=turned(positions))])
    theirs = written(tmp_path / "theirs", [predicted(structure)])
    page, (comparison,) = laid(ours, theirs, tmp_path / "compare.html")
    tab = browser.tab(page)
    pixels = drawn(tab)
    assert part_of_hue(pixels, "#0E7FD0") > 0.9
    assert tab.texts(".legend-room li") == ["ours", "theirs"]
    assert tab.texts("h3") == ["Structure", "Distance of each residue, Å", "pLDDT of each residue", "Sequence"]
    assert tab.value("document.querySelectorAll('.curve .line').length") == 3

    tab.point(*place_in_curve(tab, 100, structure.length))
    distance = comparison.distance[100]
    assert tab.texts(".readout *")[-1] == f"{distance:.2f} Å apart"

    tab.click(".choice button:nth-of-type(2)")
    tab.press("Escape")
    band = next(band for band in reversed(DISTANCE_BANDS) if np.median(comparison.distance) >= band.floor)
    tab.until(lambda: part_of_hue(drawn(tab), band.color) > 0.3, f"most residues are {band.name}")
    assert len(tab.texts(".legend-room li")) == 5
    assert tab.complaints() == []
    tab.close()


def test_an_experiment_with_a_gap(browser, tmp_path, structure):
    """Residues 41 to 50 were not seen; the authors count from 126."""
    lines = [line for line in predicted(structure).to_pdb().splitlines() if line.startswith("ATOM")]
    missing = range(41, 51)
    kept = [f"{line[:21]}H{int(line[22:26]) + 125:>4}{line[26:]}" for line in lines if int(line[22:26]) not in missing]
    (tmp_path / "known.pdb").write_text("\n".join(kept) + "\n")
    (tmp_path / "ours.cif").write_text(predicted(structure).to_cif())
    tab = browser.tab(laid(tmp_path / "ours.cif", tmp_path / "known.pdb", tmp_path / "a.html")[0])
    drawn(tab)
    assert tab.texts(".figures dd")[0] == f"{structure.length - 10} of {structure.length}"
    tab.point(*place_in_curve(tab, 20, structure.length))
    assert tab.texts(".readout *")[:2] == [f"A {structure.sequence[20]}21", "on H 146"]
    tab.point(*place_in_curve(tab, 45, structure.length))
    assert tab.texts(".readout *")[-1] == "no partner"
    assert tab.complaints() == []
    tab.close()

    # The experiment in the row: its own numbers, and room where residues are missing
    tab = browser.tab(laid(tmp_path / "known.pdb", tmp_path / "ours.cif", tmp_path / "b.html")[0])
    drawn(tab)
    tab.point(*place_in_curve(tab, 55, structure.length))  # the 56th of all, as if none were missing
    assert tab.texts(".readout *")[:2] == [f"H {structure.sequence[55]}181", "on A 56"]
    assert tab.value("document.querySelectorAll('.sequence .missing').length") == 1
    assert tab.texts(".curve text")[-1] == "240"
    path = tab.value("document.querySelector('.curve .line').getAttribute('d')")
    assert path.count("M") == 2
    tab.point(*place_in_curve(tab, 41, structure.length))  # in the gap: what is nearest
    assert tab.texts(".readout strong") == [f"H {structure.sequence[39]}165"]
    tab.close()


def test_names_of_files_are_text(browser, tmp_path, structure):
    name = "<img src=x onerror=window.hit=1>"
    for ending in ("pdb", "cif"):
        (tmp_path / f"{name}.{ending}").write_text(getattr(predicted(structure), f"to_{ending}")())
    tab = browser.tab(laid(tmp_path / f"{name}.pdb", tmp_path / f"{name}.cif", tmp_path / "compare.html")[0])
    drawn(tab)
    assert tab.texts("h1") == [f"{name}.pdb on {name}.cif"] and tab.texts("h2") == [name]
    assert tab.texts(".legend-room li") == [f"{name}.pdb", f"{name}.cif"]
    assert tab.value("document.title") == f"{name}.pdb on {name}.cif"
    assert tab.value("window.hit") is None and tab.value("document.querySelectorAll('img').length") == 0
    assert tab.complaints() == []
    tab.close()
