"""A picture shows each residue where it is, in its band's colour, and the near before the far."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib import image
from matplotlib.colors import rgb_to_hsv

from lowmem_fold.errors import InputError
from lowmem_fold.sequences.residues import ATOM_ORDER
from lowmem_fold.system.style import DARK, LIGHT, themed
from lowmem_fold.view.bands import BANDS, LEGEND
from lowmem_fold.view.figures import drawn
from lowmem_fold.view.ribbon import Mesh
from lowmem_fold.view.static import draw_ribbon, orientation, rgb
from tests.view.structures import known, predicted, turned


def pixels(figure, dpi=100) -> np.ndarray:
    with io.BytesIO() as file:
        figure.savefig(file, format="png", dpi=dpi)
        file.seek(0)
        return image.imread(file)[..., :3]


@pytest.mark.parametrize("band", BANDS, ids=[band.name for band in BANDS])
def test_a_structure_has_the_hue_of_its_band(band):
    """All residues in one band: the coloured pixels have its hue; highlights are pale, outlines dark."""
    structure = known("3a4rA")
    plddt = np.full(structure.length, band.floor + 1, np.float32)
    shown = pixels(predicted(structure, plddt=plddt).plot_structure())
    hues, saturation, value = rgb_to_hsv(shown[60:420]).reshape(-1, 3).T  # without title and legend
    colored = (saturation > 0.25) & (value > 0.45)
    wanted = rgb_to_hsv(np.array(rgb(band.color)))[0]
    assert colored.sum() > 5000
    assert (np.abs(hues[colored] - wanted) < 0.03).mean() > 0.98


def test_legend_and_what_is_said():
    figure = predicted(known("3a4rA"), 30).plot_structure()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(LEGEND)
    shades = [tuple(patch.get_facecolor()[:3]) for patch in legend.get_patches()]
    assert shades == [tuple(rgb(band.color)) for band in BANDS]
    said = figure.get_suptitle()
    assert said.startswith("3a4rA\n79 residues, 2 chains, mean pLDDT 60.0, pTM 0.75")


def test_a_ptm_that_is_not_known_is_not_told():
    figure = predicted(known("3a4rA"), ptm=float("nan")).plot_structure()
    assert figure.get_suptitle() == "3a4rA\n79 residues, mean pLDDT 60.0"


@pytest.mark.parametrize("front", [0, 1])
def test_the_near_hides_the_far(front):
    """Two squares one above the other: what is seen is the colour of that with the larger z."""
    square = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], float)
    corners = np.stack([square + np.array([0, 0, 5 if index == front else -5]) for index in (0, 1)])
    mesh = Mesh(corners, np.tile([0.0, 0.0, 1.0], (2, 1)), np.array([0, 1]))
    colors = np.eye(3)[:2]

    def draw(figure, theme):
        figure.set_size_inches(2, 2)
        draw_ribbon(figure.subplots(), theme, mesh, colors)

    middle = pixels(drawn(draw))[95:105, 95:105].mean(axis=(0, 1))
    assert middle.argmax() == front and middle[front] > 0.8 and middle[1 - front] < 0.6


def test_what_looks_away_is_not_drawn():
    square = np.array([[[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]] * 2)
    mesh = Mesh(square, np.array([[0, 0, 1.0], [0, 0, -1]]), np.array([0, 1]))
    figure = drawn(lambda figure, theme: draw_ribbon(figure.subplots(), theme, mesh, np.eye(3)[:2]))
    (quads,) = figure.axes[0].collections
    assert len(quads.get_facecolor()) == 2  # one and its outline


def test_far_parts_fade_into_the_page():
    square = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], float)
    mesh = Mesh(np.stack([square, square + np.array([4, 0, -40])]), np.tile([0.0, 0.0, 1.0], (2, 1)), np.array([0, 0]))
    for theme in (LIGHT, DARK):
        figure = drawn(lambda figure, t: draw_ribbon(figure.subplots(), t, mesh, np.array([[0.5, 0.5, 0.5]])), theme)
        shades = figure.axes[0].collections[0].get_facecolor()[:, 0]
        far, near = shades[1], shades[3]  # each after its outline
        assert abs(far - rgb(theme.page)[0]) < abs(near - rgb(theme.page)[0])


def test_orientation_is_of_the_structure():
    structure = known("2xdgA")
    ca = ATOM_ORDER["CA"]
    rotation = orientation(structure.positions, structure.atom_mask)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(rotation) == pytest.approx(1)
    laid = structure.positions[:, ca] @ rotation.T
    spread = laid.std(axis=0)
    assert spread[0] > spread[1] > spread[2]
    moved = turned(structure.positions)
    again = moved[:, ca] @ orientation(moved, structure.atom_mask).T
    np.testing.assert_allclose(again - again.mean(axis=0), laid - laid.mean(axis=0), atol=1e-3)


def test_nothing_to_draw():
    structure = known("3a4rA")
    with pytest.raises(InputError, match="3a4rA: no two residues"):
        predicted(structure, atom_mask=np.zeros_like(structure.atom_mask)).plot_structure()


def test_the_users_settings_are_left_alone():
    import matplotlib

    with matplotlib.rc_context({"font.size": 33.0}):
        with themed(DARK):
            assert matplotlib.rcParams["figure.facecolor"] == DARK.page
        figure = predicted(known("3a4rA")).plot_plddt()
        assert matplotlib.rcParams["font.size"] == 33.0
    assert figure.axes[0].title.get_fontsize() == 10
