"""``scores.jsonl`` after appending, replacing and repairing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lowmem_fold.errors import InputError
from lowmem_fold.run.table import ScoreTable, summary_line


def write(path: Path, text: str) -> None:
    path.write_text(text)


def open_table(path: Path) -> ScoreTable:
    table = ScoreTable(path, write)
    table.repair({})
    return table


def test_new_lines_are_appended_and_others_replaced(tmp_path):
    path = tmp_path / "t"
    table = open_table(path)
    table.put({"id": "a", "status": "failed"})
    table.put({"id": "b", "status": "ok"})
    before = path.stat().st_ino
    table.put({"id": "a", "status": "ok"})
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"id": "a", "status": "ok"},
        {"id": "b", "status": "ok"},
    ]
    assert path.stat().st_ino == before  # this test's writer keeps the file; the run's replaces it


def test_a_new_line_is_not_a_new_file(tmp_path):
    rewritten = []
    table = ScoreTable(tmp_path / "t", lambda path, text: (rewritten.append(text), write(path, text)))
    table.repair({})
    for id in "abc":
        table.put({"id": id})
    assert rewritten == [""]
    table.put({"id": "b"})
    assert len(rewritten) == 2


def test_repair_keeps_failures_drops_lost_results_and_adds_missing_ones(tmp_path):
    path = tmp_path / "t"
    stored = [{"id": "failed", "status": "failed"}, {"id": "gone", "status": "ok"}, {"id": "stale", "status": "failed"}]
    path.write_text("".join(json.dumps(line) + "\n" for line in stored))
    finished = {id: {"id": id, "status": "ok", "ptm": 0.5} for id in ("stale", "new")}
    ScoreTable(path, write).repair(finished)
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"id": "failed", "status": "failed"},
        {"id": "stale", "status": "ok", "ptm": 0.5},
        {"id": "new", "status": "ok", "ptm": 0.5},
    ]


def test_sound_table_is_not_written_anew(tmp_path):
    path = tmp_path / "t"
    open_table(path).put({"id": "a", "status": "failed", "number": 0.1})

    def refuse(path, text):
        raise AssertionError("written")

    ScoreTable(path, refuse).repair({})


def test_line_after_a_torn_one_stands_alone(tmp_path, monkeypatch):
    path = tmp_path / "t"
    table = open_table(path)
    table.put({"id": "a"})
    monkeypatch.setattr("os.write", lambda descriptor, data: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(OSError, match="No space"):
        table.put({"id": "b"})
    monkeypatch.undo()
    with path.open("a") as file:
        file.write('{"id": "b')  # what a full disk took
    table.put({"id": "c"})
    assert [json.loads(line)["id"] for line in path.read_text().splitlines()] == ["a", "b", "c"]


def test_lines_stand_in_the_order_asked_for_and_others_after_them(tmp_path):
    path = tmp_path / "t"
    table = open_table(path)
    for id in "abcd":
        table.put({"id": id, "status": "failed"})
    table.arrange(["d", "x", "b"])
    assert [json.loads(line)["id"] for line in path.read_text().splitlines()] == table.ids == ["d", "b", "a", "c"]
    ScoreTable(path, write).repair({}, "abcd")
    assert [json.loads(line)["id"] for line in path.read_text().splitlines()] == ["a", "b", "c", "d"]


def test_nothing_is_appended_to_what_a_link_points_to(tmp_path):
    path, mine = tmp_path / "t", tmp_path / "mine"
    table = open_table(path)
    path.unlink()
    mine.write_text("precious\n")
    path.symlink_to(mine)
    with pytest.raises(InputError, match="t: is a link"):
        table.put({"id": "a"})
    assert mine.read_text() == "precious\n"


def test_line_leaves_out_what_grows_with_the_record():
    scores = {"id": "a", "ptm": 0.5, "plddt": [1.0], "chain_pair_pae": [[1.0]], "chain_pair_iptm": None, "problems": []}
    assert summary_line(scores) == {"id": "a", "ptm": 0.5}
