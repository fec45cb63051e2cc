"""Which layers are meant."""

from __future__ import annotations

import pytest

from lowmem_fold.backbones.layers import Layers, parse_layers
from lowmem_fold.errors import InputError

OF_SIX = {
    "last": (Layers((6,)), "6"),
    "first": (Layers((0,)), "0"),
    "3": (Layers((3,)), "3"),
    "-2": (Layers((5,)), "5"),
    "all": (Layers((0, 1, 2, 3, 4, 5, 6), None, True), "0,1,2,3,4,5,6"),
    "last,0, -3": (Layers((6, 0, 4), None, True), "6,0,4"),
    "4,": (Layers((4,), None, True), "4,"),
    "last=0.75,first=.25": (Layers((0, 6), (0.25, 0.75)), "0=0.25,6=0.75"),
    "0=.25,6=.750": (Layers((0, 6), (0.25, 0.75)), "0=0.25,6=0.75"),
}


@pytest.mark.parametrize(("text", "expected"), OF_SIX.items(), ids=OF_SIX)
def test_text(text, expected):
    layers, shown = expected
    found = parse_layers(text).of(6)
    assert (found, str(found)) == (layers, shown)
    assert parse_layers(shown).of(6) == layers  # what is shown is read as the same


@pytest.mark.parametrize(
    ("given", "text"),
    [(-1, "last"), ([6, 0], "6,0"), (["last"], "6,"), ({6: 0.75, "first": 0.25}, "6=0.75,0=0.25")],
    ids=["number", "list", "list-of-one", "mix"],
)
def test_python(given, text):
    assert parse_layers(given).of(6) == parse_layers(text).of(6)


def test_results_of_a_choice():
    assert [parse_layers(text).of(6).num_results for text in ("last", "all", "1,2", "1=1,2=1")] == [1, 7, 2, 1]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "unknown layer ''"),
        ("middle", "unknown layer 'middle'"),
        ("1.5", "unknown layer '1.5'"),
        ("1,,2", "unknown layer ''"),
        ("all,3", "unknown layer 'all'"),
        ("3=x", "a number for each layer"),
        ("3=0.5,4", "a number for each layer"),
        ("3=nan", "finite"),
    ],
)
def test_wrong_text(text, named):
    with pytest.raises(InputError, match="layers") as caught:
        parse_layers(text)
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("text", "named"),
    [("7", "no layer 7"), ("-8", "no layer -8"), ("6,last", "6 is named twice"), ("0=1,first=1", "0 is named twice")],
)
def test_layers_that_a_model_has_not(text, named):
    with pytest.raises(InputError, match=named):
        parse_layers(text).of(6)


def test_no_layers():
    with pytest.raises(InputError, match="no layers"):
        parse_layers([])
