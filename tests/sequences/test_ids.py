"""Ids that become names of files: which are taken, and what is said of the others."""

from __future__ import annotations

import pytest

from lowmem_fold.errors import InputError
from lowmem_fold.sequences.ids import MAX_ID, check_id, clean_id


@pytest.mark.parametrize("id", ["a", "7abc_A", "x.1-2+3=4", "sequence_1", "con_1", "x" * MAX_ID, "_"])
def test_safe_ids_stay(id):
    assert check_id(id) == clean_id(id) == id


@pytest.mark.parametrize(
    ("id", "safe"),
    [
        ("../evil", "_._evil"),
        ("/abs/x", "_abs_x"),
        ("a b", "a"),
        ("", "_"),
        (" ", "_"),
        ("a\n", "a"),
        ("a\0b", "a_b"),
        ("a\ud800", "a_"),
        ("a#b", "a_b"),
        ("é", "_"),
        ("x" * 300, "x" * MAX_ID),
        (".hidden", "_hidden"),
        ("nul.txt", "_nul.txt"),
    ],
    ids=[
        *("up", "absolute", "blank", "empty", "space", "line-end", "zero", "surrogate", "hash", "accent", "long"),
        *("hidden", "device"),
    ],
)
def test_unsafe_ids_are_refused_with_one_that_would_do(id, safe):
    with pytest.raises(InputError, match="cannot be the name of a file") as caught:
        check_id(id)
    assert f"{safe!r} would do" in str(caught.value) and check_id(safe) == safe
    str(caught.value).encode()  # a lone surrogate could not be printed


@pytest.mark.parametrize("id", [1, None, b"a", ("a",)], ids=repr)
def test_ids_are_text(id):
    with pytest.raises(InputError, match="an id is text"):
        check_id(id)
