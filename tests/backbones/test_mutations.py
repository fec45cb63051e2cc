"""Mutations as they are written, and files of them."""

from __future__ import annotations

import pytest

from lowmem_fold.backbones.mutations import Mutation, every_mutation, parse_variant
from lowmem_fold.backbones.variant_files import read_variants
from lowmem_fold.errors import InputError

SEQUENCE = "MKTXLV"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("M1A", [Mutation("M", 1, "A")]),
        (" v6w ", [Mutation("V", 6, "W")]),
        ("L5A:K2R", [Mutation("K", 2, "R"), Mutation("L", 5, "A")]),
        ("T3T", [Mutation("T", 3, "T")]),
    ],
    ids=["first", "lower-case", "several-in-order", "silent"],
)
def test_variants(text, expected):
    assert list(parse_variant(text, SEQUENCE, "x")) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A1V", "x: A1V: position 1 is M, not A. Positions count from 1"),
        ("V7A", "x: V7A: there is no position 7, it has 6"),
        ("M0A", "x: M0A: there is no position 0, it has 6"),
        ("1A", "x: '1A' is not a mutation. Write A123V"),
        ("M1", "x: 'M1' is not a mutation"),
        ("M1*", "x: 'M1\\*' is not a mutation"),
        ("M1A:", "x: '' is not a mutation"),
        (f"M{'9' * 4400}A", "is not a mutation"),
        ("M1X", "x: M1X: 'X' is not one of the 20 amino acids"),
        ("X4A", "x: X4A: 'X' is not one of the 20 amino acids"),
        ("M1A:M1C", "x: M1A:M1C: two mutations at position 1"),
    ],
    ids=[
        "wild-type",
        "beyond",
        "zero",
        "no-wild-type",
        "no-mutant",
        "stop",
        "empty-part",
        "digits",
        "to-unknown",
        "from-unknown",
        "twice",
    ],
)
def test_refused_variants(text, message):
    with pytest.raises(InputError, match=message):
        parse_variant(text, SEQUENCE, "x")


def test_every_mutation_leaves_unknown_residues():
    found = [str(mutation) for mutation in every_mutation(SEQUENCE)]
    assert len(set(found)) == len(found) == 5 * 19
    assert found[:2] == ["M1A", "M1C"] and not any("X" in each or "4" in each for each in found)
    assert all(parse_variant(each, SEQUENCE, "x") for each in found)


@pytest.mark.parametrize(
    ("text", "ids", "expected"),
    [
        ("M1A\nK2R:T3A\n\n", ["a"], {"a": ["M1A", "K2R:T3A"]}),
        ("mutant,DMS_score\nM1A,0.5\nK2R,1\n", ["a"], {"a": ["M1A", "K2R"]}),
        ("id,mutation\nb,M1A\na,K2R\nb,T3A\n", ["a", "b", "c"], {"b": ["M1A", "T3A"], "a": ["K2R"]}),
        ("\ufeffMutation , ID\n M1A , a\n", ["a", "b"], {"a": ["M1A"]}),
    ],
    ids=["lines", "proteingym", "ids", "spaces-and-case"],
)
def test_files(tmp_path, text, ids, expected):
    path = tmp_path / "in.csv"
    path.write_text(text, encoding="utf-8")
    assert read_variants(path, ids) == expected


@pytest.mark.parametrize(
    ("text", "ids", "message"),
    [
        ("", ["a"], "there are no mutations, the file is empty"),
        ("mutation\n", ["a"], "there are no mutations below the header"),
        ("M1A\n", ["a", "b"], "there are 2 sequences: name the columns id,mutation"),
        ("mutation\nM1A\n", ["a", "b"], "there are 2 sequences, and no column id says"),
        ("name,change\na,M1A\n", ["a"], "line 1: no column is named mutation .there are: name, change"),
        ("id,mutation\n\nc,M1A\n", ["a", "b"], "line 3: there is no sequence 'c'"),
        ("id,mutation\na\n", ["a"], "line 2: there are fewer columns"),
    ],
    ids=["empty", "header-alone", "lines-for-two", "no-id", "no-mutation", "other-id", "short"],
)
def test_refused_files(tmp_path, text, ids, message):
    path = tmp_path / "in.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_variants(path, ids)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"no\.csv: cannot be read \(No such file"):
        read_variants(tmp_path / "no.csv", ["a"])
