"""What is taken where sequences are wanted, and what is said of the rest: one function for every verb."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from lowmem_fold.errors import InputError
from lowmem_fold.sequences.fasta import parse_sequence
from lowmem_fold.sequences.records import Record
from lowmem_fold.sequences.sequence_lists import check_sequence, list_sequences, parse_given

TWO = ["MKT", "GSH"]


class Series:
    """Iterates over its values, as a pandas Series does."""

    def __init__(self, values):
        self._values = values

    def __iter__(self):
        return iter(self._values)


@pytest.mark.parametrize(
    "given",
    [
        TWO,
        tuple(TWO),
        (text for text in TWO),
        np.array(TWO),
        np.array(TWO, object),
        Series(TWO),
        {"a": "MKT", "b": "GSH"},
    ],
    ids=["list", "tuple", "generator", "array", "objects", "series", "dict"],
)
def test_ways_to_give_two_sequences(given):
    assert [parse_given(each).sequence for each in list_sequences(given)] == TWO


def test_a_dictionary_is_of_ids_to_sequences():
    one, two = list_sequences({"seqA": "MKT", "alpha": "GSH"})
    assert (one.id, one.sequence, one.name) == ("seqA", "MKT", "sequence 'seqA'")
    assert (two.id, two.sequence) == ("alpha", "GSH")


def test_a_string_and_a_record_are_one_sequence():
    record = parse_sequence("MKT", "a")
    assert [each.sequence for each in list_sequences("MKT")] == ["MKT"]
    assert [parse_given(each) for each in list_sequences(record)] == [record]
    assert list_sequences([]) == list_sequences({}) == []


def test_a_record_is_taken_as_it_was_read():
    record = Record("a", "a", ("ACGT" * 5,))
    assert parse_given(list_sequences([record])[0]) is record


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "there are no sequences (None): give a list of strings"),
        (float("nan"), "sequences are a float (nan): give a list of strings"),
        (5, "sequences are a int (5)"),
        (b"MKT", "sequences are bytes: make them a string"),
        ({"MKT"}, "sequences are a set, which has no order"),
        (SimpleNamespace(columns=["id", "seq"]), "give the column that has them"),
        (np.array("MKT"), "give a list of strings"),
        (["MKT", None], "sequence 2 is missing (None)"),
        (["MKT", float("nan")], "sequence 2 is missing (nan)"),
        (["MKT", 7], "sequence 2 is a int (7): give a string"),
        (["MKT", b"GSH"], "sequence 2 is bytes: make it a string"),
        ([["MKT", "GSH"]], "sequence 1 is a list: one sequence is one string, its chains joined with ':'"),
        (["MKT", ("A", "G")], "sequence 2 is a tuple: one sequence is one string, its chains joined with ':'"),
        (np.array([["MKT", "GSH"]]), "sequence 1 is a ndarray: one sequence is one string"),
        ({"a": ["MKT", "GSH"]}, "sequence 'a' is a list: one sequence is one string"),
        ([{"a": "MKT"}], "sequence 1 is a dict"),
    ],
    ids=[
        *("none", "nan", "number", "bytes", "set", "table", "scalar-array"),
        *("item-none", "item-nan", "item-number", "item-bytes"),
        *("chains", "chains-tuple", "chains-array", "chains-dict", "dict-in-list"),
    ],
)
def test_what_is_refused(given, words):
    with pytest.raises(InputError) as caught:
        list_sequences(given)
    assert words in str(caught.value)


def test_errors_in_a_sequence_name_it():
    with pytest.raises(InputError, match=r"sequence 2: chain A, position 2: '-'"):
        [parse_given(each) for each in list_sequences(["MKT", "M-T"])]
    with pytest.raises(InputError, match=r"sequence 'b': chain A, position 2: '-'"):
        [parse_given(each) for each in list_sequences({"b": "M-T"})]
    with pytest.raises(InputError, match=r"the sequence is a list: .*joined with ':', as 'MKTAYIAK:GSHMLE'"):
        check_sequence(["MKT", "GSH"], "the sequence")
