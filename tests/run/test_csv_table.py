"""``scores.csv``: what other programs read back."""

from __future__ import annotations

import csv
import io
import json

import pytest

from lowmem_fold.errors import InputError
from lowmem_fold.run.csv_table import COLUMNS, csv_text, is_ours
from lowmem_fold.run.folding import fold_records
from lowmem_fold.run.options import RunOptions

from ..fake_run import FakeFolder, make_records


def read(text):
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("id", ["a,b", 'a"b', "a;b", "two\nlines", "ä ö", " blank "])
def test_ids_come_back_as_they_were(id):
    assert read(csv_text([{"id": id, "status": "ok"}]))[0]["id"] == id


@pytest.mark.parametrize("id", ["=1+1", "+1", "-1", "@x", "\t=1"])
def test_what_a_spreadsheet_takes_for_a_formula_is_marked(id):
    line = {"id": id, "header": f"{id} and more", "ptm": -0.5}
    (row,) = read(csv_text([line]))
    assert row["id"] == f"'{id}" and row["header"] == f"'{id} and more"
    assert row["ptm"] == "-0.5"  # a number is no formula


def test_nested_values_are_flat():
    lines = [
        {"id": "one", "chain_lengths": [8, 5], "chain_ids": ["A", "B"], "memory": {"peak": 7, "of": {"gpu": True}}},
        {"id": "two", "chain_lengths": [3], "iptm": None, "warnings": [], "reason": None},
    ]
    one, two = read(csv_text(lines))
    assert list(one)[: len(COLUMNS)] == list(COLUMNS)
    assert (one["chain_lengths"], one["chain_ids"], one["num_chains"]) == ("8;5", "A;B", "2")
    assert (one["memory.peak"], one["memory.of.gpu"]) == ("7", "True")
    assert (two["memory.peak"], two["iptm"], two["warnings"], two["num_chains"]) == ("", "", "", "1")


def test_no_lines_leave_the_columns():
    assert csv_text([]) == ",".join(COLUMNS) + "\n"


@pytest.mark.parametrize(
    ("data", "ours"),
    [
        (csv_text([]).encode(), True),
        (b"\xef\xbb\xbfid;status;length\r\n", True),
        (b"name,score\n", False),
        (b"", False),
    ],
)
def test_own_files_are_known(data, ours):
    assert is_ours(data) is ours


# In the folder of a run


def rows(folder):
    return {row["id"]: row for row in read((folder / "scores.csv").read_text())}


def test_it_says_what_scores_jsonl_says(tmp_path):
    def before(record):
        if record.id == "r1":
            raise RuntimeError('no, "luck"')

    fold_records(make_records(8, 9, 10), tmp_path, load=FakeFolder(before=before).load)
    lines = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    found = rows(tmp_path)
    assert list(found) == [line["id"] for line in lines]
    for line in lines:
        row = found[line["id"]]
        assert (row["status"], int(row["length"]), row["sequence"]) == (
            line["status"],
            line["length"],
            line["sequence"],
        )
        assert row["ptm"] == ("" if line["status"] == "failed" else str(line["ptm"]))
    assert [row["reason"] for row in found.values()].count('RuntimeError: no, "luck"') == 1
    assert not list(tmp_path.glob(".lowmem_fold.partial"))


def test_a_resumed_run_and_a_finished_one_bring_it_back(tmp_path):
    records = make_records(8, 9)
    fold_records(records[:1], tmp_path, load=FakeFolder().load)
    (tmp_path / "scores.csv").unlink()  # as of an earlier version
    fold_records(records, tmp_path, load=FakeFolder().load)
    whole = (tmp_path / "scores.csv").read_bytes()
    assert list(rows(tmp_path)) == [record.id for record in records]
    (tmp_path / "scores.csv").write_bytes(whole[:40])
    fold_records(records, tmp_path, load=FakeFolder().load)
    assert (tmp_path / "scores.csv").read_bytes() == whole


def test_an_interrupted_run_leaves_what_it_has(tmp_path):
    def before(record):
        if record.length == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fold_records(make_records(8, 9), tmp_path, load=FakeFolder(before=before).load)
    assert [row["status"] for row in rows(tmp_path).values()] == ["ok"]


def test_another_table_of_that_name_is_refused(tmp_path):
    records = make_records(8)
    fold_records(records, tmp_path, load=FakeFolder().load)
    (tmp_path / "scores.csv").write_text("mine\n1\n")
    with pytest.raises(InputError, match=r"scores.csv: is not from lowmem-fold"):
        fold_records(records, tmp_path, load=FakeFolder().load)
    assert (tmp_path / "scores.csv").read_text() == "mine\n1\n"
    fold_records(records, tmp_path, RunOptions(overwrite=True), load=FakeFolder().load)
    assert len(rows(tmp_path)) == 1
