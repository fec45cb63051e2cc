"""Pages in a real browser: what is drawn, in which colours, and that pointing, sorting and keys do what they say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lowmem_fold.predictions.prediction import Prediction
from lowmem_fold.predictions.structures import Structure
from lowmem_fold.view.library import ADDRESS, shipped_library
from tests.browser.chromium import Tab
from tests.browser.pages import CANVAS, drawn, hue_is, made, part_of_hue, place_in_curve, themed
from tests.fake_run import helix, make_records
from tests.view.runs import failed, with_plddt, written
from tests.view.structures import known, predicted

pytestmark = pytest.mark.browser

# As the issue of colours is settled by the AlphaFold database
COLORS = {"very high": "#0053D6", "high": "#65CBF3", "low": "#FFDB13", "very low": "#FF7D45"}
PLDDT = {"very high": 95.0, "high": 80.0, "low": 60.0, "very low": 30.0}
EVIL = '<img src=x onerror="window.hit=1"><script>window.hit=1</script>'


@pytest.fixture(scope="module")
def structure() -> Structure:
    return known("1ahsA")


@pytest.fixture(scope="module")
def complex_page(tmp_path_factory, structure) -> tuple[Path, Prediction]:
    """One record: two chains, pLDDT from 20 to 100, a random map of errors."""
    prediction = predicted(structure, 60)
    folder = tmp_path_factory.mktemp("one") / "run"
    return made(written(folder, [(prediction, {"header": EVIL})], save_pae=True)), prediction


@pytest.fixture(scope="module")
def opened(browser, complex_page) -> Iterator[Tab]:
    tab = browser.tab(complex_page[0])
    drawn(tab)
    yield tab
    tab.close()


@pytest.fixture
def one(opened) -> Iterator[Tab]:
    """A tab with the page of one record, nothing in it marked; nothing may be amiss in the end."""
    opened.press("Escape")
    opened.prefer("light")
    opened.click(".choice button")
    yield opened
    assert opened.complaints() == []


@pytest.fixture(scope="module")
def many_page(tmp_path_factory) -> Path:
    """200 records: a known structure in each of the four bands, helices of 12 to 21 residues, two that failed."""
    folder = tmp_path_factory.mktemp("many") / "run"
    base = predicted(known("1ahsA"), pae=None)
    bands = [predicted(known("1ahsA"), id=id_of(name), **with_plddt(base, value)) for name, value in PLDDT.items()]
    rng = np.random.default_rng(0)
    helices = [
        helix(record, ptm=float(rng.uniform()), **with_plddt(helix(record), rng.uniform(20, 100)))
        for record in make_records(*(12 + (7 * i) % 10 for i in range(194)))
    ]
    written(folder, [*bands, *helices], [failed("broken"), failed("broken2")])
    (folder / "very-high.pdb").unlink()
    (folder / "very-high.cif").write_text(bands[0].to_cif())  # names and numbers of residues are read from that as well
    return made(folder)


def id_of(name: str) -> str:
    return name.replace(" ", "-")


def test_one_record_is_drawn(one, complex_page):
    pixels = drawn(one)
    for name, color in COLORS.items():
        assert part_of_hue(pixels, color) > 0.02, name
    assert sum(part_of_hue(pixels, color) for color in COLORS.values()) > 0.95
    assert one.texts(".legend li") == ["very high > 90", "high 70 - 90", "low 50 - 70", "very low < 50"]
    assert one.value("getComputedStyle(document.querySelector('.legend .swatch')).backgroundColor") == "rgb(0, 83, 214)"
    assert one.texts("thead th") == ["Record", "Length", "pLDDT", "pTM", "ipTM", "Seconds", "Peak GiB", "Status"]
    assert one.requests() == [complex_page[0].as_uri()]


def test_what_a_record_says_is_shown_and_not_run(one):
    assert one.texts(".detail header p") == [EVIL]
    assert one.value("window.hit") is None
    assert one.value("document.querySelectorAll('#page img, #page script').length") == 0


def test_map_has_the_errors_and_the_borders_of_chains(one, complex_page):
    prediction = complex_page[1]
    length = prediction.length
    pixels = one.pixels("document.querySelector('.map image').getAttribute('href')")
    assert pixels.shape[:2] == (length, length)
    # Green pales as the error grows, in five colours with straight lines between
    stops = np.array([[0, 0x44, 0x1B], [0x1F, 0x87, 0x42], [0x6C, 0xC0, 0x77], [0xC3, 0xE7, 0xBF], [255, 255, 255]])
    along = np.rint(prediction.pae) / 31.75 * 4
    wanted = np.stack([np.interp(along, range(5), part) for part in stops.T], axis=-1)
    np.testing.assert_allclose(pixels[..., :3], wanted, atol=1.01)
    places = "[...document.querySelectorAll('.map .frame, .map .border')].map(e => e.getBoundingClientRect().toJSON())"
    frame, upright, level = one.value(places)
    assert upright["x"] - frame["x"] == pytest.approx(frame["width"] * 60 / length, abs=0.5)
    assert level["y"] - frame["y"] == pytest.approx(frame["height"] * 60 / length, abs=0.5)
    assert one.texts(".map .chain") == ["A", "A", "B", "B"]


def test_pointing_marks_everywhere(one, complex_page):
    prediction = complex_page[1]
    length = prediction.length
    mark = themed(one, "--mark")
    assert part_of_hue(drawn(one), mark) < 0.001

    one.point(*place_in_curve(one, 70, length))  # the 11th of chain B
    letter = prediction.chains[1][10]
    assert one.texts(".readout *") == [f"B {letter}11", f"pLDDT {prediction.plddt[70]:.1f}, low"]
    assert one.texts(".sequence .at") == [letter]
    assert one.value("document.querySelector('.sequence .at').dataset.place") == "70"
    assert one.value("document.querySelectorAll('.map .mark').length") > 0
    one.until(lambda: part_of_hue(drawn(one), mark) > 0.005, "the residue is marked in the structure")

    left, top, width, _ = one.box(".map .frame")
    one.point(left + (20 + 0.5) / length * width, top + (99 + 0.5) / length * width)
    name, sure, error = one.texts(".readout *")
    assert name == f"A {prediction.chains[0][20]}21"
    assert sure.startswith(f"pLDDT {prediction.plddt[20]:.1f}")
    assert error == f"expected position error {np.rint(prediction.pae[99, 20]):.0f} Å, aligned on residue B 40"
    assert one.value("document.querySelector('.sequence .from').dataset.place") == "99"
    x = one.value("document.querySelector('.curve .mark.at').x1.baseVal.value")
    assert x == pytest.approx(place_in_curve(one, 20, length)[0] - one.box(".curve")[0], abs=0.6)

    one.press("Escape")
    assert one.texts(".readout") == [""]
    assert one.value("document.querySelectorAll('.mark').length") == 0
    one.until(lambda: part_of_hue(drawn(one), mark) < 0.001, "the mark is taken away")


def test_pointing_at_the_structure(one):
    """The mark of the residue that is then told lies where one points."""
    left, top, width, height = one.box(".stage canvas")
    found = 0
    for down, across in np.ndindex(9, 9):
        x, y = width * (0.3 + 0.05 * across), height * (0.1 + 0.1 * down)
        one.press("Escape")
        one.point(left + x, top + y)
        one.value("new Promise(done => setTimeout(done, 40))")  # longer than the viewer waits for a pointer to rest
        if told := one.texts(".readout strong"):
            pixels = one.pixels(CANVAS)
            marked = np.argwhere(hue_is(pixels[..., :3], themed(one, "--mark")) & (pixels[..., 3] > 250))
            place = marked.mean(axis=0) * height / len(pixels)
            assert np.linalg.norm(place - [y, x]) < 20
            assert one.value("document.querySelector('.curve').ariaValueText").startswith(f"{told[0]}: ")
            found += 1
        if found == 4:
            break
    assert found == 4


def test_pointing_at_a_letter(one, complex_page):
    left, top, width, height = one.box(".sequence [data-place='63']")
    one.point(left + width / 2, top + height / 2)
    assert one.texts(".readout strong") == [f"B {complex_page[1].chains[1][3]}4"]
    assert one.texts(".sequence .at") == [complex_page[1].chains[1][3]]


def test_keys(one, complex_page):
    first, second = complex_page[1].chains
    one.value("document.querySelector('.curve').focus()")
    one.press("Home", "ArrowRight", "ArrowRight")
    assert one.texts(".readout strong") == [f"A {first[2]}3"]
    assert one.value("document.querySelector('.curve').ariaValueNow") == "3"
    assert one.value("document.querySelector('.curve').ariaValueText").startswith(f"A {first[2]}3: ")
    one.press("End")
    assert one.texts(".readout strong") == [f"B {second[-1]}{len(second)}"]
    one.value("document.querySelector('.map').focus()")
    one.press("ArrowUp", "ArrowUp", "ArrowLeft")
    assert one.texts(".readout *")[0] == f"B {second[-2]}{len(second) - 1}"
    assert one.texts(".readout *")[-1].endswith(f"aligned on residue B {len(second) - 2}")


def test_colours_by_chain(one):
    one.click(".choice button:last-child")
    assert one.texts(".legend li") == ["A", "B"]
    one.until(lambda: part_of_hue(drawn(one), "#0E9AD8") > 0.1, "chain A has its colour")
    assert part_of_hue(drawn(one), "#D55E00") > 0.1


def test_theme_changes_while_it_is_shown(one):
    picture = "document.querySelector('.map image').getAttribute('href')"
    light = one.pixels(picture)
    one.prefer("dark")
    one.until(lambda: not np.array_equal(light, one.pixels(picture)), "the map is drawn anew")
    largest = light[..., :3].sum(axis=-1).argmax()  # what was palest, the largest error, is darkest now
    assert one.pixels(picture)[..., :3].sum(axis=-1).ravel()[largest] < 200
    assert len(drawn(one)) > 500


def order(tab: Tab, key: str) -> list:
    place = tab.value(f"[...document.querySelectorAll('thead th')].findIndex(th => th.dataset.key === '{key}')")
    return tab.texts(f"tbody tr > :nth-child({place + 1})")


def test_two_hundred_records(browser, many_page):
    tab = browser.tab(many_page)
    assert tab.texts(".count") == ["200 records"]

    def show(id: str) -> None:
        tab.value(f"location.hash = '#{id}'")
        tab.wait(f"document.querySelector('h2').textContent === '{id}'")

    for name, color in COLORS.items():
        show(id_of(name))
        tab.until(lambda color=color: part_of_hue(drawn(tab), color) > 0.97, f"{name} is drawn in its colour")
    for number in range(0, 194, 11):  # more than a page may have contexts of WebGL
        show(f"r{number}")
    drawn(tab)
    assert tab.value("document.querySelectorAll('canvas').length") == 1
    assert tab.complaints() == []
    tab.close()


def test_sorting(browser, many_page):
    tab = browser.tab(many_page)
    as_written = order(tab, "id")
    assert as_written[-2:] == ["broken", "broken2"]

    tab.click('[data-key="ptm"] button')
    values = order(tab, "ptm")
    numbers = [float(value) for value in values[:-2]]
    assert values[-2:] == ["-", "-"] and numbers == sorted(numbers, reverse=True) and len(set(numbers)) > 100
    assert tab.value("document.querySelector('[data-key=ptm]').ariaSort") == "descending"
    tab.click('[data-key="ptm"] button')
    values = order(tab, "ptm")
    assert values[-2:] == ["-", "-"] and [float(value) for value in values[:-2]] == sorted(numbers)
    tab.click('[data-key="ptm"] button')
    assert order(tab, "id") == as_written
    assert tab.value("document.querySelector('[data-key=ptm]').ariaSort") == "none"

    tab.click('[data-key="id"] button')
    helices = [id for id in order(tab, "id") if id.startswith("r")]
    assert helices == [f"r{i}" for i in range(194)]  # 2 before 10
    tab.value("document.querySelector('[data-key=status] button').focus()")
    tab.press("Enter")
    assert order(tab, "status")[:2] == ["failed", "failed"]
    tab.close()


def test_filter_and_a_failed_record(browser, many_page):
    tab = browser.tab(many_page)
    tab.click("input[type=search]")
    tab.call("Input.insertText", text="FAILED")
    assert tab.texts("tbody tr:not([hidden]) a") == ["broken", "broken2"]
    assert tab.texts(".count") == ["2 of 200"]
    tab.click("tbody tr:not([hidden]) a")
    tab.wait("document.querySelector('h2').textContent.startsWith('broken')")
    assert tab.texts(".notice") == ["out of memory: <b>6 GiB</b>"]
    assert tab.value("document.querySelector('.stage')") is None
    tab.press("ArrowDown")
    tab.wait("document.querySelector('h2').textContent.startsWith('broken2')")
    assert tab.texts("tr[aria-current] a") == ["broken2"]
    assert tab.complaints() == []
    tab.close()


@pytest.mark.parametrize("width", [360, 800, 1600], ids=str)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_sticks_out(browser, many_page, width, theme):
    tab = browser.tab(many_page, width=width, dark=theme == "dark")
    tab.wait("document.querySelector('.sequence') !== null")
    assert tab.value("document.documentElement.scrollWidth") <= width
    ground = tab.value("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground[4:-1].split(","))) < 200) == (theme == "dark")
    tab.close()


def test_library_from_its_cdn(browser, tmp_path, structure):
    """The file with the hash in the page is run; without a network the rest of the page works and says what to do."""
    page = made(written(tmp_path / "run", [predicted(structure)]), offline=False)
    with_network = browser.tab(page, answers={ADDRESS: shipped_library()})
    assert part_of_hue(drawn(with_network), COLORS["low"]) > 0.02
    assert with_network.complaints() == []
    assert with_network.requests() == [page.as_uri(), ADDRESS]
    with_network.close()

    without = browser.tab(page, answers={ADDRESS: None})
    without.wait("document.querySelector('.notice') !== null")
    assert "3Dmol.js could not be loaded" in without.texts(".notice")[0] and "--cdn" in without.texts(".notice")[0]
    without.wait("document.querySelector('.curve .line') !== null")
    without.close()

    changed = browser.tab(page, answers={ADDRESS: shipped_library() + b"\nwindow.hit = 1"})
    changed.wait("document.querySelector('.notice') !== null")
    assert changed.value("window.hit") is None
    changed.close()


def test_a_table_that_goes_on_says_so(browser, many_page):
    """On a narrow screen, where no bar is seen; not at its end, and not where all is seen."""
    tab = browser.tab(many_page, width=380)
    shown = "getComputedStyle(document.querySelector('.records'), '::after').opacity"
    tab.wait(f"{shown} === '1'")
    tab.value("document.querySelector('.scroll').scrollLeft = 9999")
    tab.wait(f"{shown} === '0'")
    tab.value("document.querySelector('.scroll').scrollLeft = 0")
    tab.wait(f"{shown} === '1'")
    tab.resize(1200, 600)
    tab.wait(f"{shown} === '0'")
    tab.close()


def test_a_map_of_means_says_so(browser, tmp_path):
    """600 residues in 512 bins."""
    tab = browser.tab(made(written(tmp_path / "run", [helix(make_records(600)[0])], save_pae=True)))
    tab.wait("document.querySelector('.map .frame') !== null")
    assert tab.texts(".map-room .hint") == ["Each point is a mean over 1 or 2 residues each way."]
    left, top, width, _ = tab.box(".map .frame")
    tab.point(left + width / 2, top + width / 2)
    assert tab.texts(".readout *")[-1] == "expected position error 1 Å (a mean), aligned on residue A 301"
    tab.close()
