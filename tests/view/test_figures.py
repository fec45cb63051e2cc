"""Names that matplotlib would take for formulas, or could not draw, are drawn as they are."""

from __future__ import annotations

import pytest
from matplotlib.text import Text

import lowmem_fold as lf
from lowmem_fold.view.known import read_prediction
from lowmem_fold.view.page import page_html, write_page
from lowmem_fold.view.pictures import write_pictures
from lowmem_fold.view.run import read_run
from lowmem_fold.view.run_page import run_page
from tests.fake_run import helix, make_records
from tests.view.runs import written
from tests.view.structures import known, predicted
from tests.view.test_markup import cif

NOT_UTF8 = b"caf\xe9".decode("utf-8", "surrogateescape")
NAMES = pytest.mark.parametrize(
    ("name", "drawn"),
    [(r"$\frac{$", r"$\frac{$"), ("a$x^2$b", "a$x^2$b"), (NOT_UTF8, "caf\N{REPLACEMENT CHARACTER}")],
    ids=["broken-formula", "formula", "not-utf-8"],
)


def texts(figure) -> list[str]:
    """All that the figure says, after it has been drawn."""
    assert figure._repr_png_().startswith(b"\x89PNG")
    return [text.get_text() for text in figure.findobj(Text) if not text.get_parse_math()]


@NAMES
@pytest.mark.parametrize("plot", ["plot_structure", "plot_plddt", "plot_pae"])
def test_a_prediction(plot, name, drawn):
    figure = getattr(predicted(known("3a4rA"), id=name), plot)()
    assert any(drawn in text for text in texts(figure))


@NAMES
@pytest.mark.parametrize("plot", ["plot", "plot_structure"])
def test_a_comparison_of_files(tmp_path, plot, name, drawn):
    """The names of files and chains, in title, legend and axis."""
    one, other = (cif(tmp_path / f"{file}.cif", "chain", 30) for file in (name, "other"))
    figure = getattr(lf.compare(one, other), plot)()
    assert any(f"{drawn} on other" in text for text in texts(figure))
    figure = getattr(lf.compare(other, one), plot)()
    assert sum(drawn in text for text in texts(figure)) >= 2


@pytest.mark.parametrize("name", [r"$\frac{$", "a$x^2$b"])
def test_names_of_chains(tmp_path, name):
    one, other = (cif(tmp_path / f"{n}.cif", name, 30).read_text() for n in "ab")
    lines = other.splitlines()
    second = [line.replace(f'"{name}"', f'"{name}2"') for line in lines if line.startswith("ATOM")]
    for file, text in (("a.cif", one), ("b.cif", other)):
        (tmp_path / file).write_text("\n".join([*text.splitlines()[:-1], *second, "#", ""]))
    comparison = lf.compare(tmp_path / "a.cif", tmp_path / "b.cif")
    assert comparison.reference.chain_ids == (name, f"{name}2")
    assert {name, f"{name}2"} <= set(texts(comparison.plot()))


def test_a_file_whose_name_is_not_utf8_has_a_readable_id(tmp_path):
    assert read_prediction(cif(tmp_path / f"{NOT_UTF8}.cif", "A")).id == "caf\N{REPLACEMENT CHARACTER}"


def test_pictures_of_a_run(tmp_path):
    folder = written(tmp_path / "run", [helix(make_records(12)[0])])
    for ending in (".pdb", ".scores.json"):
        text = (folder / f"r0{ending}").read_text()
        (folder / f"$\\frac{{${ending}").write_text(text.replace('"r0"', r'"$\\frac{$"'))
    assert {picture.reason for picture in write_pictures(folder)} == {None}
    assert (folder / r"$\frac{$.png").read_bytes().startswith(b"\x89PNG")


def test_the_page_of_a_run_in_a_folder_whose_name_is_not_utf8(tmp_path):
    folder = written(tmp_path / NOT_UTF8, [helix(make_records(12)[0])])
    text = page_html(run_page(read_run(folder)))
    assert "<title>caf\N{REPLACEMENT CHARACTER}</title>" in text
    assert write_page(tmp_path / "page.html", text).read_text(encoding="utf-8") == text
