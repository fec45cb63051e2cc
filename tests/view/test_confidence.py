"""The plots hold the prediction's numbers, and a notebook shows them once."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from matplotlib.colors import to_hex

from lowmem_fold.errors import InputError
from lowmem_fold.view.bands import BANDS
from tests.view.structures import known, predicted


@pytest.fixture(scope="module")
def prediction():
    return predicted(known("3a4rA"), 20, 50)


def test_plddt(prediction):
    (axes,) = prediction.plot_plddt().axes
    x, y = axes.lines[0].get_data()
    np.testing.assert_array_equal(x, np.arange(1, 80))
    np.testing.assert_array_equal(y, prediction.plddt)
    assert axes.get_title(loc="left") == "3a4rA: mean pLDDT 60.0"


def test_bands_lie_behind(prediction):
    (axes,) = prediction.plot_plddt().axes
    spans = {to_hex(patch.get_facecolor()).upper(): patch.get_window_extent() for patch in axes.patches}
    height = axes.transData.inverted().transform
    for band, top in zip(BANDS, [100, 90, 70, 50], strict=True):
        extent = spans[band.color]
        assert height((0, extent.y0))[1] == pytest.approx(band.floor)
        assert height((0, extent.y1))[1] == pytest.approx(top)


def test_chain_borders(prediction):
    (axes,) = prediction.plot_plddt().axes
    assert [line.get_xdata()[0] for line in axes.lines[1:]] == [20.5, 50.5]
    names = {text.get_text(): text.xy[0] for text in axes.texts if text.get_text() in "ABC"}
    assert names == {"A": 10.5, "B": 35.5, "C": 65.0}
    (alone,) = predicted(known("3a4rA")).plot_plddt().axes
    assert len(alone.lines) == 1 and not {"A", "B"} & {text.get_text() for text in alone.texts}


def test_pae(prediction):
    axes, bar = prediction.plot_pae().axes
    (shown,) = axes.images
    np.testing.assert_array_equal(shown.get_array(), prediction.pae)  # rows: aligned, columns: scored
    assert shown.get_clim() == (0, prediction.max_pae)
    assert shown.get_extent() == [0.5, 79.5, 79.5, 0.5]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("scored residue", "aligned residue")
    upright = {line.get_xdata()[0] for line in axes.lines if line.get_xdata()[0] == line.get_xdata()[1]}
    across = {line.get_ydata()[0] for line in axes.lines if line.get_ydata()[0] == line.get_ydata()[1]}
    assert upright == across == {20.5, 50.5}
    assert axes.get_title(loc="left") == "3a4rA: pTM 0.75, ipTM 0.50"
    assert "Å" in bar.get_ylabel()


def test_no_pae():
    with pytest.raises(InputError, match="3a4rA: there is no PAE"):
        predicted(known("3a4rA"), pae=None).plot_pae()


def test_one_residue_is_seen():
    structure = known("3a4rA")
    arrays = {
        name: getattr(predicted(structure), name)[:1] for name in ("positions", "atom_mask", "plddt", "atom_plddt")
    }
    alone = predicted(structure, chains=("G",), pae=np.zeros((1, 1), np.float32), **arrays)
    (axes,) = alone.plot_plddt().axes
    assert axes.lines[0].get_marker() == "o"
    assert alone.plot_pae().axes


def test_a_notebook_shows_the_figure_once(prediction):
    """By its own PNG, and not by pyplot as well, which shows each figure that it knows at the end of a cell."""
    figure = prediction.plot_plddt()
    assert figure._repr_png_().startswith(b"\x89PNG\r\n")
    if "matplotlib.pyplot" in sys.modules:
        from matplotlib import pyplot

        assert pyplot.get_fignums() == []


def test_without_matplotlib(prediction, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("matplotlib")]:
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("figures", "of_prediction"):
        monkeypatch.delitem(sys.modules, f"lowmem_fold.view.{name}", raising=False)
    with pytest.raises(InputError, match="pip install 'matplotlib>="):
        prediction.plot_plddt()
