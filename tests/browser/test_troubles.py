"""Pages of what is unusual, and browsers that lack something: what can be shown is shown, and the rest is told of."""

from __future__ import annotations

import json

import pytest

from lowmem_fold.view.library import ADDRESS, shipped_library
from tests.browser.pages import drawn, made, part_of_hue, place_in_curve
from tests.view.runs import written
from tests.view.structures import known, predicted

pytestmark = pytest.mark.browser

NAME = "<img src=x onerror=window.hit=1>"
NO_WEBGL = """
    const get = HTMLCanvasElement.prototype.getContext;
    HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
        return kind.includes("webgl") ? null : get.call(this, kind, ...rest);
    };
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run and a record whose names are markup."""
    return written(tmp_path_factory.mktemp("runs") / NAME, [predicted(known("3a4rA"), id=NAME)], save_pae=True)


def test_names_are_text(browser, folder):
    tab = browser.tab(made(folder))
    drawn(tab)
    assert tab.texts("h1") == tab.texts("h2") == tab.texts("tbody a") == [NAME]
    assert tab.value("document.title") == NAME
    assert tab.value("window.hit") is None and tab.value("document.querySelectorAll('img').length") == 0
    assert tab.complaints() == []
    tab.close()


def test_one_chain_without_plddt(browser, tmp_path):
    """There is nothing to colour by: it is drawn in one colour, without a legend."""
    folder = written(tmp_path / "run", [predicted(known("3a4rA"))])
    path = folder / "3a4rA.scores.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "plddt": [1.0]}))
    tab = browser.tab(made(folder))
    assert part_of_hue(drawn(tab), "#0E7FD0") > 0.95
    assert tab.texts(".legend-room li") == [] and tab.texts(".choice button") == []
    assert tab.texts(".notice") == ["3a4rA.scores.json holds 1 pLDDT, the record has 79 residues"]
    assert tab.texts("h3") == ["Structure", "Sequence"]
    assert tab.complaints() == []
    tab.close()


def test_a_residue_between_others_without_a_value(browser, tmp_path):
    """A line has no length there: it is a dot."""
    folder = written(tmp_path / "run", [predicted(known("3a4rA"))])
    path = folder / "3a4rA.scores.json"
    scores = json.loads(path.read_text())
    scores["plddt"][30] = scores["plddt"][32] = None
    path.write_text(json.dumps(scores))
    tab = browser.tab(made(folder), before=NO_WEBGL)
    tab.wait("document.querySelector('.curve .line') !== null")
    assert tab.value("document.querySelectorAll('.curve .alone').length") == 1
    x = tab.value("document.querySelector('.curve .alone').cx.baseVal.value")
    assert x == pytest.approx(place_in_curve(tab, 31, 79)[0] - tab.box(".curve")[0], abs=0.6)
    tab.close()


@pytest.mark.parametrize("offline", [True, False], ids=["library-inside", "library-from-cdn"])
def test_without_webgl(browser, folder, offline):
    """Another copy of 3Dmol.js would not help, and is not asked for."""
    answers = None if offline else {ADDRESS: shipped_library()}
    tab = browser.tab(made(folder, offline=offline), before=NO_WEBGL, answers=answers)
    tab.wait("document.querySelector('.notice') !== null")
    assert tab.texts(".notice") == ["No picture: this browser has no WebGL, or it is switched off."]
    tab.wait("document.querySelectorAll('.curve .line, .map image').length === 2")
    tab.close()


def test_a_browser_that_cannot_unpack(browser, folder):
    tab = browser.tab(made(folder), before="delete globalThis.DecompressionStream")
    tab.wait("document.querySelector('.notice') !== null")
    assert "too old to unpack what the page holds (it has no DecompressionStream)" in tab.texts(".notice")[0]
    assert tab.texts("h2") == [NAME] and tab.texts("tbody a") == [NAME]
    tab.close()
